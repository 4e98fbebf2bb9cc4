#!/usr/bin/env python3
# fmt: off
# mypy: ignore-errors
"""Check a copy of an archive, or a package of evidence, with nothing but Python (3.11) and the program openssl (3.0).

Prints what is not as it was written, and ends with 1 when anything is: docs/tamper-evidence.md explains each finding.
"""
import argparse, base64, collections, datetime, hashlib, json, os, pathlib, re, subprocess, sys, tempfile, zipfile

NAMES = {"digest": r"digests/v1/([1-8]\d{3}/\d\d/\d\d)/(\d\d)\.json", "key": r"keys/v1/(\w+)\.pem",
         "evidence": r"evidence/v1/source=[\w%-]+/day=([\d-]{10})/hour=(\d\d)/\d{16}-\d{16}\.ndjson\.zst",
         "record": r"deletions/v1/(\d{4}-\d\d)\.json", "file": r"[\w%=.-]+(?:/[\w%=.-]+)*"}
NUMBER, TEXT, TIME, ID = r"(?:0|[1-9]\d*)", r'"[^"\\\x00-\x1f]*"', r'"\d{4}-\d\d-\d\dT\d\d:00:00Z"', '"(?:[0-9a-f]{32})?"'
HOUR = datetime.timedelta(hours=1)
findings, keys, signed, trusted = set(), {}, set(), set()  # keys: whether each is the one of its name; trusted: also named

def shape(**members):
    return r"\{" + ",".join(f'"{name}":{form}' for name, form in sorted(members.items())) + r"\}"

def many(form, begin, end):
    return f"{begin}(?:{form}(?:,{form})*)?{end}"

OBJECT = shape(name=TEXT, bytes=NUMBER, sha256=TEXT, events=NUMBER, first_seq=NUMBER, last_seq=NUMBER)
DIGEST = shape(v="1", seq=NUMBER, **{"from": TIME}, to=TIME, writer=TEXT, writer_since=TEXT, key=ID, next_key=ID, previous=TEXT,
               objects=many(OBJECT, r"\[", r"\]"), events=NUMBER, recovered=many(TEXT, r"\[", r"\]"),
               newest_seq=many(TEXT + ":" + NUMBER, r"\{", r"\}"), numbers_go_back=many(TEXT, r"\[", r"\]")) + "\n"
RECORD = shape(v="1", month=r'"\d{4}-(?:0[1-9]|1[0-2])"', key=ID, first_digest=NUMBER, last_digest=NUMBER, last=TEXT, objects=NUMBER,
               events=NUMBER, bytes=NUMBER, retain_months=NUMBER, made=TEXT) + "\n"

def say(text):
    print(text.encode("unicode_escape").decode())

def find(kind, name, why=""):
    findings.add(f"FOUND {kind}: {name} {why}")

def sha256(data):
    return hashlib.sha256(data).hexdigest()

def is_a(kind, name):
    return re.fullmatch(NAMES[kind], name, re.ASCII)

def hour_of(name):
    """Return the hour of a digest or an object by its name; None for any other name."""
    found = is_a("digest", name) or is_a("evidence", name)
    try:
        return found and datetime.datetime.strptime("-".join(found.groups()).replace("/", "-"), "%Y-%m-%d-%H") or None
    except ValueError:
        return None

def read(name, form):
    """Return the bytes of a digest or record, and what they say when they are of its form, down to the last comma."""
    data = pathlib.Path(name).read_bytes()
    try:
        said = json.loads(data) if re.fullmatch(form, data.decode()) else None
        for time in (said["from"], said["to"]) if said and "from" in said else ():
            datetime.datetime.strptime(time, "%Y-%m-%dT%H:00:00Z")
        return data, said
    except ValueError:
        return data, None

def read_key(name):
    """Return the id of a public key: half of the SHA-256 of its DER."""
    body = re.sub(rb"-----.*?-----|\s", b"", pathlib.Path(name).read_bytes())
    try:
        der = base64.b64decode(body)
        return sha256(der)[:32] if len(der) == 44 else "not a key of Ed25519"
    except ValueError:
        return "not a key"

def has_signed(key_file, name):
    words = f"openssl pkeyutl -verify -pubin -inkey {key_file} -rawin -in {name} -sigfile {name}.sig"
    return not subprocess.run(words.split(), capture_output=True).returncode

def is_signed(name, key):
    """Tell whether the signature beside a file is one of this key."""
    is_right = keys.get(key, False) and has_signed(f"keys/v1/{key}.pem", name)
    if not is_right and keys.get(key, True):
        find(*(("signature_wrong", name) if key in keys else ("key_missing", f"keys/v1/{key}.pem")))
    return is_right

def check_digest(name, said, is_newest):
    """Check the signature of a digest and the objects that it names."""
    if not said["key"]:
        trusted.add(said["next_key"])
    elif not pathlib.Path(f"{name}.sig").is_file():
        say("not proven: who wrote the newest digest; it has no signature yet") if is_newest else find("signature_missing", name)
    elif is_signed(name, said["key"]):
        signed.add(said["key"])
        trusted.update([said["key"], said["next_key"]])
    for entry in said["objects"]:
        path = pathlib.Path(entry["name"])
        data = path.read_bytes() if is_a("evidence", entry["name"]) and path.is_file() and not path.is_symlink() else None
        if data is not None and (len(data), sha256(data)) != (entry["bytes"], entry["sha256"]):
            find("object_truncated" if len(data) < entry["bytes"] else "object_changed", entry["name"])

def check_record(name, month, lacks):
    """Tell whether a record explains why objects of its month are missing."""
    said = read(name, RECORD)[1]
    if said and said["key"] and not pathlib.Path(f"{name}.sig").is_file():
        return lacks and (find("signature_missing", name) or True)
    is_right = said and (is_signed(name, said["key"]) and said["key"] in trusted if said["key"] else not month["key"])
    if not is_right or f"deletions/v1/{said['month']}.json" != name or any(said[field] != month[field] for field in month if field != "key"):
        find("deletion_wrong", name, "the digests of the month say otherwise, or who signed them did not sign it")
    elif lacks:
        say(f"not proven: what the {said['events']} events of {said['month']} were; their deletion is on record")
    return bool(said)

def check_archive(heads, known, is_part):
    """Check the archive in this folder: each digest is the one that the next names, and all that is there is in one.

    A part of it may begin with any digest, and objects that are not in it are no finding.
    """
    paths = [path for path in pathlib.Path().rglob("*") if path.is_symlink() or not path.is_dir()]
    names = sorted(str(path) for path in paths if path.is_file() and not path.is_symlink())
    for name in {str(path) for path in paths} - {*names}:
        find("object_foreign", name, "it is not a file")
    for name in names:
        if found := is_a("key", name):
            keys[found[1]] = read_key(name) == found[1] or find("key_wrong", name) or False
    digests = [name for name in names if is_a("digest", name) and hour_of(name)]
    number, until, previous, before, key = None if is_part else 0, None, "", "", None if is_part else ""
    named, dark, unsigned, recovered = {}, [], 0, 0  # dark: from when until when no digest can be read
    months = collections.defaultdict(lambda: dict.fromkeys(("first_digest", "last_digest", "last", "objects", "events", "bytes", "key"), 0))
    for name in digests:
        (data, said), hour = read(name, DIGEST), hour_of(name)
        if said is None or said["from"] != f"{hour:%Y-%m-%dT%H}:00:00Z":
            find("digest_misplaced" if said else "digest_unreadable", name)
            number, key = None if number is None else number + 1, None
            dark.append((hour, hour + HOUR))
        else:
            if number is not None and said["seq"] != number + 1:
                find("digest_missing", name, f"it has number {said['seq']}; {number + 1} should follow")
                dark += [(until, hour)] if until else []
                key = None
            elif number is not None and said["previous"] != previous:
                find("digest_changed", before or name, f"{name} names another one before it")
            follows = number is None or said["seq"] == number + 1
            if follows and until not in {None, hour} or said["to"] != f"{hour + HOUR:%Y-%m-%dT%H}:00:00Z":
                find("hour_missing", name, f"{until} should follow")
            if key is not None and key != said["key"] and number != 0:
                find("key_changed" if said["key"] else "signature_missing", name, f"{key or 'no key'} was to sign")
            check_digest(name, said, name == digests[-1])
            number, key = said["seq"], said["next_key"] or said["key"]
            month, sizes = months[said["from"][:7]], [entry["bytes"] for entry in said["objects"]]
            month.update(first_digest=month["first_digest"] or number, last_digest=number, last=sha256(data), key=month["key"] or said["key"])
            month.update(objects=month["objects"] + len(sizes), events=month["events"] + said["events"], bytes=month["bytes"] + sum(sizes))
            named.update((entry["name"], said["from"][:7]) for entry in said["objects"])
            unsigned, recovered = unsigned + (not said["key"]), recovered + len(said["recovered"])
        until, previous, before = hour + HOUR, sha256(data), name
        heads -= {previous}
    missing, waiting, explained = named.keys() - {*names}, 0, set()
    for name in names:
        stem, hour = name.removesuffix(".sig"), hour_of(name.removesuffix(".sig") if name.startswith("digests/") else name)
        if found := is_a("record", name):
            lacks = any(named[each] == found[1] for each in missing)
            explained |= {found[1]} if check_record(name, months[found[1]], lacks) else set()
        elif name in named or stem in digests or is_a("key", name) or is_a("record", stem):
            continue
        elif hour and until and hour < until and (name != stem or any(a <= hour < b for a, b in dark)):
            continue
        elif hour and (until is None or hour >= until):
            waiting += bool(is_a("evidence", name))
            is_a("evidence", name) or find("digest_missing", stem, "its signature is there")
        elif name.startswith(("evidence/", "digests/", "keys/", "deletions/")):
            find("object_foreign", name, "it is in no digest")
    for name in missing:
        is_part or named[name] in explained or find("object_missing", name)
    for head in heads:
        find("head_missing", head, "digests were cut off at the end, or replaced")
    if known and not known & signed:
        find("key_unknown", ", ".join(sorted(known)), f"signed: {', '.join(sorted(signed))}")
    digests or find("digest_missing", "digests/v1/", "there is none")
    say(f"{len(digests)} digests, the newest is {previous}; keys that signed: {', '.join(sorted(signed)) or 'none'}")
    for count, what in (
        (waiting, f"what {waiting} objects are that are in no digest yet"),
        (unsigned, f"who wrote {unsigned} digests without a signature"),
        (recovered, f"that a daemon stored {recovered} objects, which it found after a kill"),
    ):
        count and say(f"not proven: {what}")
    findings or say(f"proven: {len(named.keys() - missing)} objects are what their digests were written of")
    return named

def unpack(file, folder):
    """Unpack the files of a package that have plain names, once each."""
    with zipfile.ZipFile(file) as package:
        for info in package.infolist():
            path = folder / info.filename
            try:
                if not is_a("file", info.filename) or {".", ".."} & {*info.filename.split("/")} or path.exists():
                    raise OSError
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                path.write_bytes(package.read(info))
            except OSError:
                find("file_foreign", info.filename, "its name is not plain, or is there twice")
            except Exception:  # noqa: BLE001 -- damaged in one of many ways: it stays empty, and differs from the list
                pass
        package.comment and find("file_foreign", "(comment)", "the zip has one, which nothing signs")

def check_files(signers):
    """Compare each file of a package with the list of them, and that with its signature."""
    there = {path.as_posix() for path in pathlib.Path().rglob("*") if path.is_file()} - {"MANIFEST", "MANIFEST.sig"}
    try:
        text = pathlib.Path("MANIFEST").read_bytes().decode("ascii")
        listed = {line[66:]: line[:64] for line in text.splitlines()}
        if text != "".join(f"{listed[name]}  {name}\n" for name in sorted(listed)) or not all(is_a("file", name) for name in listed):
            raise ValueError
    except FileNotFoundError:
        return find("file_missing", "MANIFEST")
    except ValueError:
        return find("manifest_wrong", "MANIFEST", "it is not one")
    missing = [name for name in ("signer.pem", "MANIFEST.sig") if not pathlib.Path(name).is_file()]
    for name in [*missing, *(listed.keys() - there)]:
        find("file_missing", name)
    for name in there - listed.keys():
        find("file_foreign", name, "the list does not name it")
    for name in there & listed.keys():
        sha256(pathlib.Path(name).read_bytes()) == listed[name] or find("file_changed", name)
    if missing:
        return
    signer = read_key("signer.pem")
    if not re.fullmatch("[0-9a-f]{32}", signer) or not has_signed("signer.pem", "MANIFEST"):
        find("manifest_wrong", "MANIFEST", f"its signature is not of it and the key {signer}")
    elif signers and signer not in signers:
        find("signer_unknown", signer)
    signers or say(f"not proven: that {signer} is the key of who made the package (--signer)")

def lines_of(name):
    """Return the lines of an object, None when it does not unpack. Raises OSError where nothing here unpacks it."""
    if sys.version_info >= (3, 14):
        from compression import zstd
        try:
            return zstd.decompress(pathlib.Path(name).read_bytes()).split(b"\n")
        except zstd.ZstdError:
            return None
    done = subprocess.run(["zstd", "-dcq", name], capture_output=True)
    return None if done.returncode else done.stdout.split(b"\n")

def check_lines(named):
    """Compare each line of a package with what stands at its place in the evidence."""
    try:
        *lines, end = pathlib.Path("events.ndjson").read_bytes().split(b"\n")
        *places, last = pathlib.Path("places.ndjson").read_bytes().split(b"\n")
        places = [(said["object"], said["line"], said["sha256"]) for said in map(json.loads, places)]
        if end or last or len(lines) != len(places) or not all(is_a("evidence", name) for name, _, _ in places):
            raise ValueError
    except FileNotFoundError as error:
        return find("file_missing", error.filename)
    except (ValueError, TypeError, KeyError):
        return find("line_wrong", "places.ndjson", "it is not of these lines")
    held, proven, bare = {}, 0, 0
    for line, (name, number, sha) in zip(lines, places):
        if name not in held:
            try:
                held[name] = lines_of(f"archive/{name}") if pathlib.Path("archive", name).is_file() else ()
            except OSError:
                held[name] = ()
        if sha256(line) != sha or held[name] is not None and held[name] != () and held[name][number - 1 : number] != [line]:
            find("line_wrong", f"{name}:{number}")
        elif held[name] is None:
            find("line_wrong", name, "the object does not unpack")
        else:
            proven, bare = proven + (name in named and held[name] != ()), bare + (held[name] == ())
    say(f"{proven} of {len(lines)} lines stand in objects that digests name")
    bare and say(f"not proven: that {bare} lines stand in the evidence: it is not in the package, or needs Python 3.14 or zstd")
    say("not proven: that these are all events that answer the question")

def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("place", help="the folder of an archive, or the zip of a package of evidence")
    options.add_argument("--head", nargs="*", default=[], help="SHA-256 of digests that you know, of heartbeats or reports")
    options.add_argument("--key", nargs="*", default=[], help="ids of keys of which one must have signed the digests")
    options.add_argument("--signer", nargs="*", default=[], help="ids of keys of which one must have signed the package")
    asked = options.parse_args()
    heads, known = {*asked.head}, {*asked.key}
    if os.path.isdir(asked.place):
        os.chdir(asked.place)
        check_archive(heads, known, is_part=False)
    else:
        with tempfile.TemporaryDirectory() as folder:
            unpack(asked.place, pathlib.Path(folder))
            os.chdir(folder)
            check_files({*asked.signer})
            os.makedirs("archive", exist_ok=True)
            os.chdir("archive")
            named = check_archive(heads, known, is_part=True)
            os.chdir(folder)
            check_lines(named)
            os.chdir("/")
    asked.head or say("not proven: that nothing was cut off at the end (--head)")
    asked.key or say("not proven: whose keys signed the digests (--key)")
    say("not proven: that everything arrived here, and that what was signed agrees in itself (the command checks that)")
    print("\n".join(sorted(each.encode("unicode_escape").decode() for each in findings)) or "nothing is other than it was written")
    return bool(findings)

if __name__ == "__main__":
    sys.exit(main())
