"""The records: frozen, in the words of the field. Import them from their modules."""
