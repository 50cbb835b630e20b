"""Identity of lesions over modality and time."""

from osteotrace.matching.assign import assign, groups_of, links_between
from osteotrace.matching.cost import Link, MatchCriteria, link, match_criteria, tolerant_overlap
from osteotrace.matching.tracks import Decisions, course_of, link_lesions, tracking_uid

__all__ = [
    "Decisions",
    "Link",
    "MatchCriteria",
    "assign",
    "course_of",
    "groups_of",
    "link",
    "link_lesions",
    "links_between",
    "match_criteria",
    "tolerant_overlap",
    "tracking_uid",
]
