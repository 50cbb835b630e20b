"""The promises of the repository itself: locks, rooms, versions, the benchmarks' common part."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import sys
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

import osteotrace
from _common import arguments, patients, unpack, unpack_case

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "osteotrace"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-peers.txt")
ROOMS = frozenset(p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists())

# Distributions whose import name differs, and those that are there for another to find.
IMPORT_NAMES = {"pillow": "PIL", "simpleitk": "SimpleITK"}
PLUGINS = {"pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "python-gdcm"}
TEXTS = {"", ".css", ".html", ".json", ".md", ".py", ".toml"}
ALLOWED = {
    "pydicom": {"intake", "phantom"},
    "SimpleITK": {"anatomy", "space", "registration"},
    "onnxruntime": {"anatomy"},
    "nibabel": {"space"},
}


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower()


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+==\S+)", (ROOT / lock).read_text(), flags=re.M))


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imported_roots() -> set[str]:
    found = set()
    for node in (n for p in modules() for n in ast.walk(ast.parse(p.read_text()))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"osteotrace"}


# --- requirements ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_hold_pins_and_hashes_only(lock):
    """No index address, no option, no path, no comment: nothing of the machine that made them."""
    line = re.compile(
        r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==[\w.]+( ; [\w. '=<>!()]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
    )
    odd = [text for text in (ROOT / lock).read_text().splitlines() if not line.fullmatch(text)]
    assert odd == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock):
    text = (ROOT / lock).read_text()
    assert len(re.findall(r"^[a-z].* \\\n    --hash=", text, flags=re.M)) == len(
        re.findall(r"^[a-z]", text, flags=re.M)
    )


def test_what_tests_install_holds_all_that_users_install():
    assert pins("requirements.txt") <= pins("requirements-dev.txt")


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]),
        ("requirements.txt", PROJECT["project"]["optional-dependencies"]["anatomy"]),
        ("requirements-dev.txt", PROJECT["dependency-groups"]["dev"]),
        ("requirements-peers.txt", PROJECT["dependency-groups"]["peers"]),
    ],
)
def test_locks_cover_what_is_declared(lock, wanted):
    locked = {pin.partition("==")[0] for pin in pins(lock)}
    assert {name_of(r) for r in wanted} - locked == set()


def test_dependencies_are_what_the_code_imports():
    """An unused dependency costs every user its megabytes; an undeclared one breaks a fresh install."""
    extra = PROJECT["project"]["optional-dependencies"]["anatomy"]
    declared = {name_of(r) for r in (*PROJECT["project"]["dependencies"], *extra)} - PLUGINS
    assert {IMPORT_NAMES.get(name, name) for name in declared} == imported_roots()


# --- version --------------------------------------------------------------------------------------


def test_version_is_told_once():
    """The build reads the version of the package, and the changelog has a chapter for it."""
    assert PROJECT["project"]["dynamic"] == ["version"]
    told = re.search(
        r'^__version__ = "(.+)"$',
        (ROOT / PROJECT["tool"]["hatch"]["version"]["path"]).read_text(),
        flags=re.M,
    )
    assert told is not None
    assert told[1] == osteotrace.__version__
    assert re.search(rf"^## {re.escape(told[1])}\b", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)


def test_installed_version_is_this_one():
    try:
        installed = importlib.metadata.version("osteotrace")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("osteotrace is not installed here, only on the path")
    assert installed == osteotrace.__version__


# --- rooms ----------------------------------------------------------------------------------------


def test_public_api_of_the_package_is_the_version_alone():
    """People use the command; rooms are imported by name. Nothing else leaks from the top."""
    public = {n for n, v in vars(osteotrace).items() if not n.startswith("_") and not hasattr(v, "__path__")}
    assert {n for n in public if f"osteotrace.{n}" not in sys.modules} == set()


@pytest.mark.parametrize("room", sorted(r for r in ROOMS if (SOURCE / r).is_dir()))
def test_rooms_say_what_they_offer(room):
    module = importlib.import_module(f"osteotrace.{room}")
    assert module.__doc__, f"{room} has no docstring"
    offered = getattr(module, "__all__", [])
    assert len(offered) == len(set(offered))
    assert [name for name in offered if not hasattr(module, name)] == []


def test_no_room_is_empty():
    folders = [p for p in SOURCE.rglob("*") if p.is_dir() and p.name != "__pycache__"]
    assert [p.name for p in folders if not any(f.stat().st_size for f in p.rglob("*") if f.is_file())] == []


def test_contracts_name_every_room():
    """A new room cannot slip past a contract that lists its sources."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    for library, allowed in ALLOWED.items():
        contract = next(c for c in contracts if library in c.get("forbidden_modules", ()))
        held = {name.removeprefix("osteotrace.") for name in contract["source_modules"]}
        assert held == ROOMS - allowed - {"__init__", "__main__"}, contract["name"]


def test_no_path_of_a_machine_in_the_text():
    """Tests may make up a home folder, to see that it is taken out of a result."""
    outside_tests = re.compile(r"(?<![\w.])/(home|root|work|Users)/[a-z.]")
    in_tests = re.compile(r"(?<![\w.])/(root|work)/[a-z.]")
    folders = ("src", "tests", "benchmarks", "docs", ".ci")
    texts = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in TEXTS and p.is_file()]
    texts += [ROOT / n for n in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml")]
    patterns = {p: in_tests if p.is_relative_to(ROOT / "tests") else outside_tests for p in texts}
    assert [
        str(p.relative_to(ROOT)) for p, pattern in patterns.items() if pattern.search(p.read_text())
    ] == []


# --- the common part of the benchmarks ------------------------------------------------------------


def write_header(path: Path, uid: str, *, image: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = CTImageStorage if image else RTStructureSetStorage
    header.SOPInstanceUID = f"{uid}.1"
    header.SeriesInstanceUID = uid
    header.Modality = "CT" if image else "RTSTRUCT"
    if image:
        header.Rows = 1
    header.save_as(path, enforce_file_format=True)


def pack(archive: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(archive, "w:xz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, BytesIO(content))


def test_patient_is_the_deepest_folder_with_two_series(tmp_path):
    write_header(tmp_path / "one" / "ct" / "a.dcm", "1.1")
    write_header(tmp_path / "one" / "pet" / "a.dcm", "1.2")
    write_header(tmp_path / "one" / "drawn" / "a.dcm", "1.3", image=False)
    write_header(tmp_path / "one" / "drawn" / "b.dcm", "1.4", image=False)
    write_header(tmp_path / "two" / "flat" / "a.dcm", "2.1")
    write_header(tmp_path / "two" / "flat" / "b.dcm", "2.2")
    write_header(tmp_path / "single" / "ct" / "a.dcm", "3.1")
    assert [p.relative_to(tmp_path).as_posix() for p in patients(tmp_path)] == ["one", "two/flat"]


def test_root_itself_can_be_the_patient(tmp_path):
    write_header(tmp_path / "ct" / "a.dcm", "1.1")
    write_header(tmp_path / "mr" / "a.dcm", "1.2")
    assert patients(tmp_path) == (tmp_path,)


def test_each_archive_gets_a_folder_and_loose_files_lie_beside(tmp_path):
    case = tmp_path / "case"
    case.mkdir()
    pack(case / "ct.tar.xz", {"1.dcm": b"ct"})
    pack(case / "pet.tar.xz", {"1.dcm": b"pet"})
    (case / "seg.dcm").write_bytes(b"seg")
    (case / "SOURCE.md").write_text("not data")
    out = unpack_case(case, tmp_path / "out")
    found = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert found == {"ct/1.dcm": b"ct", "pet/1.dcm": b"pet", "seg.dcm": b"seg"}


def test_archive_that_leads_outside_is_refused(tmp_path):
    pack(tmp_path / "bad.tar.xz", {"../outside.dcm": b"x"})
    with pytest.raises(ValueError, match="leads outside the folder"):
        unpack(tmp_path / "bad.tar.xz", tmp_path / "in")
    assert not (tmp_path / "outside.dcm").exists()


def test_no_such_data_ends_with_three(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--data", str(tmp_path / "absent")])
    with pytest.raises(SystemExit) as ended:
        arguments("a benchmark")
    assert ended.value.code == 3
    assert capsys.readouterr().err == "nothing to measure under 'absent'\n"
