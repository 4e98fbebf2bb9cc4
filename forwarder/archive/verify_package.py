#!/usr/bin/env python3
# fmt: off
# mypy: ignore-errors
"""Check a package of evidence with Python (3.11), the program openssl (3.0), and verify_archive.py beside this script.

Prints what is not as it was packed, and ends with 1 when anything is. To look into objects: Python 3.14 or the program zstd.
"""
import argparse, contextlib, hashlib, json, pathlib, re, subprocess, sys, tempfile, zipfile

NAME = re.compile(r"[\w%=.-]+(?:/[\w%=.-]+)*", re.ASCII)
ALONE = {"MANIFEST", "MANIFEST.sig"}
findings = set()

def find(kind, name, why=""):
    findings.add(f"FOUND {kind}: {name} {why}".encode("unicode_escape").decode())

def sha256(data):
    return hashlib.sha256(data).hexdigest()

def unpack(file, folder):
    """Unpack the files that have plain names, once each."""
    with zipfile.ZipFile(file) as package:
        for info in package.infolist():
            path = folder / info.filename
            try:
                if not NAME.fullmatch(info.filename) or {".", ".."} & {*info.filename.split("/")} or path.exists():
                    raise OSError
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            except OSError:
                find("file_foreign", info.filename, "its name is not plain, or is there twice")
                continue
            with contextlib.suppress(Exception):  # damaged in one of many ways: it stays empty, and differs from the list
                path.write_bytes(package.read(info))
        package.comment and find("file_foreign", "(comment)", "the zip has one, which nothing signs")

def check_files(folder, signers):
    """Compare each file with the list of them, and that with its signature."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if "MANIFEST" not in there:
        return find("file_missing", "MANIFEST")
    text = (folder / "MANIFEST").read_bytes()
    listed = {line[66:]: line[:64] for line in text.decode("ascii", "replace").splitlines()}
    if "".join(f"{listed[name]}  {name}\n" for name in sorted(listed)).encode() != text or not all(map(NAME.fullmatch, listed)):
        return find("manifest_wrong", "MANIFEST", "it is not one")
    for name in {*listed, "signer.pem", "MANIFEST.sig"} - there:
        find("file_missing", name)
    for name in there - listed.keys() - ALONE:
        find("file_foreign", name, "the list does not name it")
    for name in there & listed.keys():
        sha256((folder / name).read_bytes()) == listed[name] or find("file_changed", name)
    if not {"signer.pem", "MANIFEST.sig"} <= there:
        return
    key, words = folder / "signer.pem", f"-rawin -in {folder}/MANIFEST -sigfile {folder}/MANIFEST.sig".split()
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", key, "-outform", "DER"], capture_output=True).stdout
    if subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, *words], capture_output=True).returncode:
        find("manifest_wrong", "MANIFEST", "its signature is not of it and the key signer.pem")
    elif signers and sha256(der)[:32] not in signers:
        find("signer_unknown", sha256(der)[:32])
    signers or print(f"not proven: that {sha256(der)[:32]} is the key of who made the package (--signer)")

def lines_of(path):
    """Return the lines of an object; none when nothing here unpacks it. Raises ValueError for a damaged one."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
            return zstd.decompress(path.read_bytes()).split(b"\n")
        return subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.split(b"\n")
    except OSError:
        return []
    except Exception as error:
        raise ValueError from error

def check_lines(folder):
    """Compare each line with what stands at its place in the evidence."""
    try:
        *lines, end = (folder / "events.ndjson").read_bytes().split(b"\n")
        *places, last = (folder / "places.ndjson").read_bytes().split(b"\n")
        places = [(said["object"], int(said["line"]), said["sha256"]) for said in map(json.loads, places)]
        if end or last or len(lines) != len(places) or not all(NAME.fullmatch(name) for name, _, _ in places):
            raise ValueError
    except FileNotFoundError as error:
        return find("file_missing", pathlib.Path(error.filename).name)
    except (ValueError, TypeError, KeyError, RecursionError):
        return find("line_wrong", "places.ndjson", "it is not of these lines")
    named, held, proven, bare = set(), {}, 0, 0
    for path in folder.glob("archive/digests/v1/*/*/*/*.json"):  # whether these are right, verify_archive.py says
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            named |= {entry["name"] for entry in json.loads(path.read_bytes())["objects"]}
    for line, (name, number, sha) in zip(lines, places):
        path = folder / "archive" / name
        try:
            held[name] = held[name] if name in held else lines_of(path) if path.is_file() else []
        except ValueError:
            held[name] = None
        if held[name] is None:
            find("line_wrong", name, "the object does not unpack")
        if sha256(line) != sha or held[name] and held[name][number - 1 : number] != [line]:
            find("line_wrong", f"{name}:{number}")
        elif held[name] is not None:
            proven, bare = proven + (name in named and held[name] != []), bare + (held[name] == [])
    print(f"{proven} of {len(lines)} lines stand in objects that digests name")
    bare and print(f"not proven: that {bare} lines stand in the evidence: it is not in the package, or needs Python 3.14 or zstd")

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("package", help="the zip")
options.add_argument("--signer", nargs="*", default=[], help="ids of keys of which one must have signed the package")
options.add_argument("--head", nargs="*", default=[], help="SHA-256 of digests that you know, of heartbeats or reports")
options.add_argument("--key", nargs="*", default=[], help="ids of keys of which one must have signed the digests")
asked = options.parse_args()
script = pathlib.Path(__file__).with_name("verify_archive.py")
script.is_file() or options.error(f"{script} is not there: audit-forwarder archive verify-script {script}")
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    unpack(asked.package, folder)
    check_files(folder, asked.signer)
    check_lines(folder)
    print("not proven: that these are all events that answer the question", flush=True)
    (folder / "archive").mkdir(exist_ok=True)
    known = [*(["--head", *asked.head] if asked.head else []), *(["--key", *asked.key] if asked.key else [])]
    done = subprocess.run([sys.executable, "-I", script, folder / "archive", "--part", *known])
print("\n".join(sorted(findings)) or "nothing else is other than it was packed")
sys.exit(bool(findings or done.returncode))
