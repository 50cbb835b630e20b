"""Coded concepts: what is said in DICOM objects, in the codes of the standard.

Every code is in pydicom's copy of the DICOM dictionaries (a test compares each of them, meaning included),
except those named in `OUTSIDE_DICTIONARY`, each with the public source it was read in. The meanings are those
of DICOM PS3.16, so they differ here and there from the names of the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (DICOM PS3.3 Section 8).

    Parameters
    ----------
    value : str
        Code Value (0008,0100).
    scheme : str
        Coding Scheme Designator (0008,0102): SCT, DCM, UCUM, IBSI, NCIt, UMLS.
    meaning : str
        Code Meaning (0008,0104).
    """

    value: str
    scheme: str
    meaning: str

    def matches(self, value: str, scheme: str) -> bool:
        """Whether value and scheme are those of this concept; the meaning is free text and does not count."""
        return (self.value, self.scheme) == (value, scheme)


# Report and measurement group: PS3.16 TID 1500, TID 1411, CID 7021
IMAGING_MEASUREMENT_REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")
ONCOLOGY_MEASUREMENT_REPORT: Final = Code("126001", "DCM", "Oncology Measurement Report")
PET_MEASUREMENT_REPORT: Final = Code("126003", "DCM", "PET Measurement Report")
IMAGING_MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP: Final = Code("125007", "DCM", "Measurement Group")
FINDING: Final = Code("121071", "DCM", "Finding")
FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")
TRACKING_IDENTIFIER: Final = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
LESION_IDENTIFIER: Final = Code("121151", "DCM", "Lesion Identifier")
SUBJECT_TIME_POINT: Final = Code("126070", "DCM", "Subject Time Point Identifier")
PROTOCOL_TIME_POINT: Final = Code("126071", "DCM", "Protocol Time Point Identifier")
TIME_POINT_TYPE: Final = Code("126072", "DCM", "Time Point Type")
TIME_POINT_ORDER: Final = Code("126073", "DCM", "Time Point Order")

# What is measured: CID 7466, 7469, 7470
ATTENUATION: Final = Code("110850", "DCM", "X-Ray Attenuation")
SUVBW: Final = Code("126401", "DCM", "SUVbw")
SUVLBM: Final = Code("126402", "DCM", "SUVlbm")
SUVBSA: Final = Code("126403", "DCM", "SUVbsa")
SUVIBW: Final = Code("126404", "DCM", "SUVibw")
SUVLBM_JANMAHASATIAN: Final = Code("126405", "DCM", "SUVlbm(Janma)")
SUVLBM_JAMES128: Final = Code("126406", "DCM", "SUVlbm(James128)")
METABOLIC_VOLUME: Final = Code("126032", "DCM", "Metabolic Volume")
TOTAL_LESION_GLYCOLYSIS: Final = Code("126033", "DCM", "Total Lesion Glycolysis")
LESION_TO_BACKGROUND: Final = Code("126039", "DCM", "Lesion to Background SUV Ratio")
ADC: Final = Code("113041", "DCM", "Apparent Diffusion Coefficient")
MR_SIGNAL: Final = Code("110852", "DCM", "MR signal intensity")
MR_SIGNAL_T1: Final = Code("110804", "DCM", "T1 Weighted MR Signal Intensity")
MR_SIGNAL_T2: Final = Code("110805", "DCM", "T2 Weighted MR Signal Intensity")
MR_SIGNAL_PD: Final = Code("110803", "DCM", "Proton Density Weighted MR Signal Intensity")
ABSORBED_DOSE: Final = Code("128513", "DCM", "Absorbed Dose")
VOLUME: Final = Code("118565006", "SCT", "Volume")
LONGEST_DIAMETER_3D: Final = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
LONG_AXIS: Final = Code("103339001", "SCT", "Long axis")
SHORT_AXIS: Final = Code("103340004", "SCT", "Short axis")

# Which statistic of it: CID 7464
MEAN: Final = Code("373098007", "SCT", "Mean")
MEDIAN: Final = Code("373099004", "SCT", "Median")
MAXIMUM: Final = Code("56851009", "SCT", "Maximum")
MINIMUM: Final = Code("255605001", "SCT", "Minimum")
STANDARD_DEVIATION: Final = Code("386136009", "SCT", "Standard Deviation")
PEAK: Final = Code("126031", "DCM", "Peak Value Within ROI")

# Segmentation category and type: CID 7150, 7159, 7191, 7192, 7194
MORPHOLOGICALLY_ABNORMAL: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
ANATOMICAL_STRUCTURE: Final = Code("91723000", "SCT", "Anatomical Structure")
METASTASIS: Final = Code("14799000", "SCT", "Neoplasm, Secondary")
PRIMARY_NEOPLASM: Final = Code("372087000", "SCT", "Neoplasm, Primary")
LESION: Final = Code("52988006", "SCT", "Lesion")
ENHANCING_LESION: Final = Code("C113842", "NCIt", "Enhancing Lesion")
NON_ENHANCING_LESION: Final = Code("C81175", "NCIt", "Non-Enhancing Lesion")
NECROSIS: Final = Code("6574001", "SCT", "Necrosis")
BONY_METASTASIS: Final = Code("94222008", "SCT", "Bony metastasis")  # a Finding in SR, no segment type
BONE_TISSUE: Final = Code("3138006", "SCT", "Bone")
MUSCLE_TISSUE: Final = Code("91727004", "SCT", "Muscle")
SOFT_TISSUE: Final = Code("87784001", "SCT", "Soft tissue")
FAT_TISSUE: Final = Code("55603005", "SCT", "Fat")

# Laterality: CID 244
LEFT: Final = Code("7771000", "SCT", "Left")
RIGHT: Final = Code("24028007", "SCT", "Right")
BILATERAL: Final = Code("51440002", "SCT", "Bilateral")

# Views of planar nuclear medicine: CID 26
ANTERIOR_VIEW: Final = Code("399321004", "SCT", "Anterior projection")
POSTERIOR_VIEW: Final = Code("399001007", "SCT", "Posterior projection")

# RECIST 1.1: CID 6144, 6147
RECIST_1_1: Final = Code("126081", "DCM", "RECIST 1.1")
COMPLETE_RESPONSE: Final = Code("112041", "DCM", "Target Lesion Complete Response")
PARTIAL_RESPONSE: Final = Code("112042", "DCM", "Target Lesion Partial Response")
PROGRESSIVE_DISEASE: Final = Code("112043", "DCM", "Target Lesion Progressive Disease")
STABLE_DISEASE: Final = Code("112044", "DCM", "Target Lesion Stable Disease")

# Key object selection titles: CID 7010
KEY_OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")
KEY_FOR_REFERRING_PROVIDER: Final = Code("113002", "DCM", "For Referring Provider")
KEY_FOR_SURGERY: Final = Code("113003", "DCM", "For Surgery")
KEY_FOR_TEACHING: Final = Code("113004", "DCM", "For Teaching")
KEY_FOR_THERAPY: Final = Code("113006", "DCM", "For Therapy")
KEY_QUALITY_ISSUE: Final = Code("113010", "DCM", "Quality Issue")
KEY_FOR_TUMOR_BOARD: Final = Code("128203", "DCM", "For Tumor Board")

# Stand for a vertebra or rib that has no code of its own
VERTEBRA: Final = Code("51282000", "SCT", "Vertebra")
RIB: Final = Code("113197003", "SCT", "Rib")

UNITS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "mm": Code("mm", "UCUM", "mm"),
        "cm": Code("cm", "UCUM", "cm"),
        "cm3": Code("cm3", "UCUM", "cubic centimeter"),
        "mm3": Code("mm3", "UCUM", "cubic millimeter"),
        "mm2": Code("mm2", "UCUM", "square millimeter"),
        "[hnsf'U]": Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
        "g/ml{SUVbw}": Code("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight"),
        "g/ml{SUVlbm}": Code("g/ml{SUVlbm}", "UCUM", "Standardized Uptake Value lean body mass (James)"),
        "g/ml{SUVlbm(James128)}": Code(
            "g/ml{SUVlbm(James128)}",
            "UCUM",
            "Standardized Uptake Value lean body mass (James 128 multiplier)",
        ),
        "g/ml{SUVlbm(Janma)}": Code(
            "g/ml{SUVlbm(Janma)}", "UCUM", "Standardized Uptake Value lean body mass (Janma)"
        ),
        "g/ml{SUVibw}": Code("g/ml{SUVibw}", "UCUM", "Standardized Uptake Value ideal body weight"),
        "cm2/ml{SUVbsa}": Code("cm2/ml{SUVbsa}", "UCUM", "Standardized Uptake Value body surface area"),
        "Bq/ml": Code("Bq/ml", "UCUM", "Becquerels/milliliter"),
        "{counts}": Code("{counts}", "UCUM", "Counts"),
        "{counts}/s": Code("{counts}/s", "UCUM", "Counts per second"),
        "um2/s": Code("um2/s", "UCUM", "um2/s"),
        "10-6.mm2/s": Code("10-6.mm2/s", "UCUM", "10-6.mm2/s"),
        "mm2/s": Code("mm2/s", "UCUM", "mm2/s"),
        "Gy": Code("Gy", "UCUM", "Gy"),
        "1": Code("1", "UCUM", "no units"),
        "{ratio}": Code("{ratio}", "UCUM", "ratio"),
        "%": Code("%", "UCUM", "Percent"),
        "s": Code("s", "UCUM", "second"),
        "min": Code("min", "UCUM", "minute"),
        "h": Code("h", "UCUM", "hour"),
        "d": Code("d", "UCUM", "day"),
        "wk": Code("wk", "UCUM", "week"),
        "mo": Code("mo", "UCUM", "month"),
        "a": Code("a", "UCUM", "year"),
        "deg": Code("deg", "UCUM", "Degree"),
        "ml": Code("ml", "UCUM", "milliliter"),
        "g": Code("g", "UCUM", "gram"),
    }
)
"""Units by their UCUM code (CID 7181 and UCUM)."""

TRACERS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "FDG": Code("35321007", "SCT", "Fluorodeoxyglucose F^18^"),
        "NaF": Code("129501009", "SCT", "Sodium fluoride F^18^"),
        "PSMA-11": Code("C118961", "NCIt", "PSMA-11 Ga^68^"),
        "PSMA-617": Code("126759", "DCM", "PSMA-617 Ga^68^"),
        "PSMA-1007": Code("126758", "DCM", "PSMA-1007 F^18^"),
        "piflufolastat": Code("C116352", "NCIt", "Piflufolastat F^18^"),
        "DOTATATE": Code("724025002", "SCT", "Dotatate Ga^68^"),
        "DOTATOC": Code("C2713594", "UMLS", "Edotreotide Ga^68^"),
        "fluorocholine": Code("456992002", "SCT", "Fluorocholine F^18^"),
        "choline": Code("126703", "DCM", "Choline C^11^"),
        "fluciclovine": Code("457000009", "SCT", "Fluciclovine F^18^"),
        "fluoroestradiol": Code("926372005", "SCT", "Fluoroestradiol F^18^"),
        "MDP": Code("96390006", "SCT", "Technetium Tc^99m^ medronate"),
        "HDP": Code("53951001", "SCT", "Technetium Tc^99m^ oxidronate"),
    }
)
"""Radiopharmaceuticals by a short name (CID 25 and 4021)."""

RETIRED: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "C-B1031": TRACERS["FDG"],
        "C-B1032": TRACERS["NaF"],
        "C-E0273": TRACERS["fluorocholine"],
        "C-B1218": TRACERS["MDP"],
        "C-B1213": TRACERS["HDP"],
        "G-5215": ANTERIOR_VIEW,
        "G-5216": POSTERIOR_VIEW,
    }
)
"""Codes of older files (SNOMED RT: scheme SRT, SNM3 or 99SDM) and what they mean today."""

VERTEBRAE: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "C1": Code("14806007", "SCT", "C1 vertebra"),
        "C2": Code("39976000", "SCT", "C2 vertebra"),
        "C3": Code("113205007", "SCT", "C3 vertebra"),
        "C4": Code("5329002", "SCT", "C4 vertebra"),
        "C5": Code("36978003", "SCT", "C5 vertebra"),
        "C6": Code("36054005", "SCT", "C6 vertebra"),
        "C7": Code("87391001", "SCT", "C7 vertebra"),
        "T1": Code("64864005", "SCT", "T1 vertebra"),
        "T2": Code("53733008", "SCT", "T2 vertebra"),
        "T3": Code("1626008", "SCT", "T3 vertebra"),
        "T4": Code("73071006", "SCT", "T4 vertebra"),
        "T5": Code("56401006", "SCT", "T5 vertebra"),
        "T6": Code("45296009", "SCT", "T6 vertebra"),
        "T7": Code("62487009", "SCT", "T7 vertebra"),
        "T8": Code("11068009", "SCT", "T8 vertebra"),
        "T9": Code("82687006", "SCT", "T9 vertebra"),
        "T10": Code("7610001", "SCT", "T10 vertebra"),
        "T11": Code("12989004", "SCT", "T11 vertebra"),
        "T12": Code("23215003", "SCT", "T12 vertebra"),
        "L1": Code("66794005", "SCT", "L1 vertebra"),
        "L2": Code("14293000", "SCT", "L2 vertebra"),
        "L3": Code("36470004", "SCT", "L3 vertebra"),
        "L4": Code("11994002", "SCT", "L4 vertebra"),
        "L5": Code("49668003", "SCT", "L5 vertebra"),
        "T13": VERTEBRA,
        "L6": VERTEBRA,
        "S1": Code("65985001", "SCT", "S1 vertebra"),
    }
)
"""Vertebrae by level (CID 7603). T13 and L6 have no code in DICOM: the vertebra, with the level as text."""

DISCS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "C2-C3": Code("1078209008", "SCT", "C2/C3 disc"),
        "C3-C4": Code("58820006", "SCT", "C3/C4 disc"),
        "C4-C5": Code("49400002", "SCT", "C4/C5 disc"),
        "C5-C6": Code("73959003", "SCT", "C5/C6 disc"),
        "C6-C7": Code("75095006", "SCT", "C6/C7 disc"),
        "C7-T1": Code("37414007", "SCT", "C7/T1 disc"),
        "T1-T2": Code("40908007", "SCT", "T1/T2 disc"),
        "T2-T3": Code("6004007", "SCT", "T2/T3 disc"),
        "T3-T4": Code("2620004", "SCT", "T3/T4 disc"),
        "T4-T5": Code("82965004", "SCT", "T4/T5 disc"),
        "T5-T6": Code("72692000", "SCT", "T5/T6 disc"),
        "T6-T7": Code("74401007", "SCT", "T6/T7 disc"),
        "T7-T8": Code("28693002", "SCT", "T7/T8 disc"),
        "T8-T9": Code("9188009", "SCT", "T8/T9 disc"),
        "T9-T10": Code("113209001", "SCT", "T9/T10 disc"),
        "T10-T11": Code("34959001", "SCT", "T10/T11 disc"),
        "T11-T12": Code("1537001", "SCT", "T11/T12 disc"),
        "T12-L1": Code("76206002", "SCT", "T12/L1 disc"),
        "L1-L2": Code("80064006", "SCT", "L1/L2 disc"),
        "L2-L3": Code("67459009", "SCT", "L2/L3 disc"),
        "L3-L4": Code("62551000", "SCT", "L3/L4 disc"),
        "L4-L5": Code("84020006", "SCT", "L4/L5 disc"),
        "L5-S1": Code("715056000", "SCT", "L5/S1 disc"),
    }
)
"""Intervertebral discs by their two levels (CID 7604)."""

RIBS: Final[Mapping[int, Code]] = MappingProxyType(
    {
        1: Code("48535007", "SCT", "First rib"),
        2: Code("78247007", "SCT", "Second rib"),
        3: Code("25888004", "SCT", "Third rib"),
        4: Code("25523003", "SCT", "Fourth rib"),
        5: Code("15339008", "SCT", "Fifth rib"),
        6: Code("59558009", "SCT", "Sixth rib"),
        7: Code("24915002", "SCT", "Seventh rib"),
        8: Code("5953002", "SCT", "Eighth rib"),
        9: Code("22565002", "SCT", "Ninth rib"),
        10: Code("77644006", "SCT", "Tenth rib"),
        11: Code("58830002", "SCT", "Eleventh rib"),
        12: Code("43993008", "SCT", "Twelfth rib"),
        13: RIB,
    }
)
"""Ribs by number, without side. The thirteenth has no code in DICOM: the rib, with the number as text."""

ANATOMY: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "sacrum": Code("54735007", "SCT", "Sacrum"),
        "coccyx": Code("64688005", "SCT", "Coccyx"),
        "ilium": Code("22356005", "SCT", "Ilium"),
        "hip bone": Code("29836001", "SCT", "Hip"),
        "sternum": Code("56873002", "SCT", "Sternum"),
        "scapula": Code("79601000", "SCT", "Scapula"),
        "clavicle": Code("51299004", "SCT", "Clavicle"),
        "costal cartilages": Code("50016007", "SCT", "Costal Cartilage"),
        "skull": Code("89546000", "SCT", "Skull"),
        "mandible": Code("91609006", "SCT", "Mandible"),
        "humerus": Code("85050009", "SCT", "Humerus"),
        "radius": Code("62413002", "SCT", "Radius"),
        "ulna": Code("23416004", "SCT", "Ulna"),
        "carpal bones": Code("8205005", "SCT", "Carpus"),
        "metacarpal bones": Code("36455000", "SCT", "Metacarpus"),
        "fingers": Code("7569003", "SCT", "Finger"),
        "femur": Code("71341001", "SCT", "Femur"),
        "patella": Code("64234005", "SCT", "Patella"),
        "tibia": Code("12611008", "SCT", "Tibia"),
        "fibula": Code("87342007", "SCT", "Fibula"),
        "tarsal bones": Code("108371006", "SCT", "Tarsus"),
        "metatarsal bones": Code("280711000", "SCT", "Metatarsus"),
        "toes": Code("29707007", "SCT", "Toe"),
        "vertebral arch": Code("40265002", "SCT", "Arch of vertebra"),
        "spinous process": Code("55678000", "SCT", "Spinous process of vertebra"),
        "transverse process": Code("73400003", "SCT", "Transverse process or vertebra"),
        "superior articular process": Code("317665004", "SCT", "Superior articular process of vertebra"),
        "inferior articular process": Code("317766009", "SCT", "Inferior articular process of vertebra"),
        "spinal cord": Code("2748008", "SCT", "Spinal cord"),
        "spinal canal": Code("61853006", "SCT", "Vertebral canal"),
        "brain": Code("12738006", "SCT", "Brain"),
        "erector spinae": Code("44947003", "SCT", "Erector spinae muscle"),
        "aorta": Code("15825003", "SCT", "Aorta"),
        "inferior vena cava": Code("64131007", "SCT", "Inferior vena cava"),
        "superior vena cava": Code("48345005", "SCT", "Superior vena cava"),
        "pulmonary vein": Code("122972007", "SCT", "Pulmonary vein"),
        "brachiocephalic trunk": Code("12691009", "SCT", "Innominate artery"),
        "subclavian artery": Code("36765005", "SCT", "Subclavian artery"),
        "common carotid artery": Code("32062004", "SCT", "Common carotid artery"),
        "brachiocephalic vein": Code("8887007", "SCT", "Innominate vein"),
        "common iliac artery": Code("73634005", "SCT", "Common iliac artery"),
        "common iliac vein": Code("46027005", "SCT", "Common iliac vein"),
        "heart": Code("80891009", "SCT", "Heart"),
        "left atrial appendage": Code("33626005", "SCT", "Left auricular appendage"),
        "esophagus": Code("32849002", "SCT", "Esophagus"),
        "trachea": Code("44567001", "SCT", "Trachea"),
        "lung": Code("39607008", "SCT", "Lung"),
        "upper lobe of lung": Code("45653009", "SCT", "Upper lobe of lung"),
        "middle lobe of right lung": Code("72481006", "SCT", "Middle lobe of right lung"),
        "lower lobe of lung": Code("90572001", "SCT", "Lower lobe of lung"),
        "thyroid": Code("69748006", "SCT", "Thyroid"),
        "body outline": Code("38266002", "SCT", "Entire body"),
        "liver": Code("10200004", "SCT", "Liver"),
        "gallbladder": Code("28231008", "SCT", "Gallbladder"),
        "spleen": Code("78961009", "SCT", "Spleen"),
        "pancreas": Code("15776009", "SCT", "Pancreas"),
        "adrenal gland": Code("23451007", "SCT", "Adrenal gland"),
        "kidney": Code("64033007", "SCT", "Kidney"),
        "stomach": Code("69695003", "SCT", "Stomach"),
        "duodenum": Code("38848004", "SCT", "Duodenum"),
        "small bowel": Code("30315005", "SCT", "Small intestine"),
        "colon": Code("71854001", "SCT", "Colon"),
        "urinary bladder": Code("89837001", "SCT", "Bladder"),
        "prostate": Code("41216001", "SCT", "Prostate"),
        "vertebral body": Code("3572006", "SCT", "Vertebral body"),
        "back muscles": Code("244849004", "SCT", "Deep muscle of back"),
        "gluteus maximus": Code("181674001", "SCT", "Gluteus maximus muscle"),
        "gluteus medius": Code("78333006", "SCT", "Gluteus medius muscle"),
        "gluteus minimus": Code("75297007", "SCT", "Gluteus minimus muscle"),
        "iliopsoas": Code("68455001", "SCT", "Iliopsoas muscle"),
        "portal and splenic vein": Code("110765007", "SCT", "Portal vein and splenic vein"),
    }
)
"""Bones, vertebra parts and other structures by their name in osteotrace, without side (CID 7192, 8134)."""

_CT_MAP: Final = "TotalSegmentator and MOOSE, public SNOMED CT mappings of their labels"

OUTSIDE_DICTIONARY: Final[Mapping[Code, str]] = MappingProxyType(
    {
        VERTEBRAE["S1"]: _CT_MAP,
        **{RIBS[number]: _CT_MAP for number in range(1, 13)},
        ANATOMY["vertebral body"]: "TotalSegmentator, public SNOMED CT mapping of its labels",
        ANATOMY["back muscles"]: _CT_MAP,
        ANATOMY["gluteus maximus"]: _CT_MAP,
        ANATOMY["gluteus medius"]: _CT_MAP,
        ANATOMY["gluteus minimus"]: _CT_MAP,
        ANATOMY["iliopsoas"]: _CT_MAP,
        ANATOMY["portal and splenic vein"]: _CT_MAP,
        UNITS["ml"]: "UCUM",
        UNITS["g"]: "UCUM",
    }
)
"""The codes that pydicom's dictionaries do not have, and where each was read."""
