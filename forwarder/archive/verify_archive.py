#!/usr/bin/env python3
# fmt: off
# mypy: ignore-errors
"""Check a copy of an archive with nothing but Python (3.11 or newer) and the program openssl (3.0 or newer).

Prints what is not as it was written, and ends with 1 when anything is: docs/tamper-evidence.md explains each finding.
"""
import argparse, base64, datetime, hashlib, json, os, pathlib, re, struct, subprocess, sys

EVIDENCE = r"evidence/v1/source=([\w%-]+)/day=([\d-]{10})/hour=(\d\d)/(\d{16})-(\d{16})\.ndjson\.zst"
DIGEST, RECORD, KEY = r"digests/v1/([1-8]\d{3}/\d\d/\d\d/\d\d)\.json", r"deletions/v1/(\d{4}-\d\d)\.json", r"keys/v1/(\w+)\.pem"
HOUR = datetime.timedelta(hours=1)
OBJECT = {"name": str, "bytes": int, "sha256": str, "events": int, "first_seq": int, "last_seq": int}
SHAPES = (
    {"v": int, "seq": int, "from": str, "to": str, "writer": str, "writer_since": str, "key": str, "next_key": str, "events": int,
     "previous": str, "objects": [OBJECT], "recovered": [str], "newest_seq": {"": int}, "numbers_go_back": [str]},
    {"v": int, "month": str, "key": str, "first_digest": int, "last_digest": int, "last": str, "objects": int, "events": int,
     "bytes": int, "retain_months": int, "made": str},
)
findings, keys = set(), {}  # keys: whether each is the one of its name
signed, trusted = set(), set()  # keys that signed a digest; also those that one names as the next

def find(kind, name, why=""):
    findings.add(f"FOUND {kind}: {name} {why}".encode("unicode_escape").decode())

def sha256(data):
    return hashlib.sha256(data).hexdigest()

def match(form, name):
    return re.fullmatch(form, name, re.ASCII)

def hour_of(name):
    """Return the hour of a digest or an object by its name; None for any other name."""
    digest, part = match(DIGEST, name), match(EVIDENCE, name)
    try:
        text = digest and digest[1] or part and f"{part[2]}/{part[3]}".replace("-", "/")
        return text and datetime.datetime.strptime(text, "%Y/%m/%d/%H") or None
    except ValueError:
        return None

def fits(said, shape):
    """Tell whether JSON has a shape: a type, members by name, any members under "", or a list of one shape."""
    if isinstance(shape, type):
        return type(said) is shape
    if isinstance(shape, list):
        return type(said) is list and all(fits(each, shape[0]) for each in said)
    if type(said) is not dict or "" not in shape and said.keys() != shape.keys():
        return False
    return all(fits(each, shape.get(name, shape.get(""))) for name, each in said.items())

def read(name, shape):
    """Return bytes, and what they say when they are JSON of this shape, in canonical form."""
    data = pathlib.Path(name).read_bytes()
    try:
        said = json.loads(data)
        same = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" == data
        if not same or not fits(said, SHAPES[shape]) or said["v"] != 1 or not match("([0-9a-f]{32})?", said["key"]):
            return data, None
        if shape == 0 and not match("([0-9a-f]{32})?", said["next_key"]):
            return data, None
        for time in (said["from"], said["to"]) if shape == 0 else (f"{said['month']}-01T00:00:00Z",):
            datetime.datetime.strptime(time, "%Y-%m-%dT%H:00:00Z")
        return data, said
    except (ValueError, RecursionError):
        return data, None

def is_signed(name, key):
    """Tell whether the signature beside a file is one of this key."""
    command = f"openssl pkeyutl -verify -pubin -inkey keys/v1/{key}.pem -rawin -in {name} -sigfile {name}.sig"
    is_right = keys.get(key, False) and not subprocess.run(command.split(), capture_output=True).returncode
    if not is_right and keys.get(key, True):
        find(*(("signature_wrong", name) if key in keys else ("key_missing", f"keys/v1/{key}.pem")))
    return is_right

def check_key(name):
    body = re.sub(rb"-----.*?-----|\s", b"", pathlib.Path(name).read_bytes())
    try:
        found = sha256(base64.b64decode(body))[:32]
    except ValueError:
        found = "not a key"
    keys[match(KEY, name)[1]] = name == f"keys/v1/{found}.pem" or find("key_wrong", name, f"it is {found}") or False

def check_object(entry):
    """Compare an object with what its digest says; its first frame holds the numbers of its lines, as JSON."""
    data = pathlib.Path(entry["name"]).read_bytes()
    if len(data) != entry["bytes"] or sha256(data) != entry["sha256"]:
        return find("object_truncated" if len(data) < entry["bytes"] else "object_changed", entry["name"])
    try:
        spans = [(first, last) for first, last, _ in json.loads(data[8 : 8 + struct.unpack_from("<II", data)[1]])["spans"]]
        numbers = [*map(min, zip(*spans)), *map(max, zip(*spans))]
    except (ValueError, TypeError, KeyError, struct.error, RecursionError):
        return find("counts_wrong", entry["name"], "it holds no events")
    if sum(last - first + 1 for first, last in spans) != entry["events"]:
        find("counts_wrong", entry["name"], "it holds another number of events")
    elif not numbers or (numbers[0], numbers[3]) != (entry["first_seq"], entry["last_seq"]):
        find("numbers_wrong", entry["name"], "it holds other numbers")

def check_entries(name, said, newest, named):
    """Check what a digest says of its objects; `newest` has the newest number of each source before, None: not known."""
    all_names = [entry["name"] for entry in said["objects"]]
    if said["events"] != sum(entry["events"] for entry in said["objects"]) or not set(said["recovered"]) <= set(all_names):
        find("counts_wrong", name, "its objects have another sum, or it recovered others")
    highest, back = {}, set()
    for before, entry in zip(["", *all_names], said["objects"]):
        part, first, last = match(EVIDENCE, entry["name"]), entry["first_seq"], entry["last_seq"]
        if not part or (int(part[4]), int(part[5])) != (first, last):
            find("numbers_wrong", entry["name"], f"{name} has it as {first} to {last}")
            newest = None
        elif f"{part[2]}T{part[3]}:00:00Z" > said["from"]:
            find("hour_wrong", entry["name"], f"{name} is of an hour before it")
        if entry["name"] in named or entry["name"] <= before:
            find("object_twice", entry["name"], name)
        if not 1 <= entry["events"] <= last - first + 1:
            find("counts_wrong", entry["name"], f"{entry['events']} events cannot have these numbers")
        named[entry["name"]] = said["from"][:7]
        source = part and part[1]
        back |= {source} if first <= highest.get(source, (newest or {}).get(source, 0)) else set()
        highest[source] = max(last, highest.get(source, 0))
    if newest is not None and [{**newest, **highest}, sorted(back)] != [said["newest_seq"], said["numbers_go_back"]]:
        find("numbers_wrong", name, "numbers overlap or go back, and it does not say so")

def check_record(name, sums, is_lacking, is_signed_month):
    """Tell whether a record explains why objects of its month are missing."""
    said = read(name, 1)[1]
    if not said:
        return find("deletion_wrong", name) or False
    if said["key"] and not pathlib.Path(f"{name}.sig").is_file():
        return is_lacking and (find("signature_missing", name) or True)
    fields = [said[field] for field in ("month", "first_digest", "last_digest", "last", "objects", "events", "bytes")]
    if fields != [match(RECORD, name)[1], *sums] or (not is_signed(name, said["key"]) or said["key"] not in trusted
                                                    if said["key"] else is_signed_month):
        find("deletion_wrong", name, "the digests of the month say otherwise, or who signed them did not sign it")
    elif is_lacking:
        print(f"not proven: what the {said['events']} events of {said['month']} were; their deletion is on record")
    return True

def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("--head", nargs="*", default=[], help="SHA-256 of digests that you know, of heartbeats or reports")
    options.add_argument("--key", nargs="*", default=[], help="ids of keys of which one must have signed")
    asked = options.parse_args()
    os.chdir(asked.folder)
    paths = [path for path in pathlib.Path().rglob("*") if path.is_symlink() or not path.is_dir()]
    names = sorted(str(path) for path in paths if path.is_file() and not path.is_symlink())
    for name in {str(path) for path in paths} - {*names}:
        find("object_foreign", name, "it is not a file")
    digests, present = [name for name in names if match(DIGEST, name) and hour_of(name)], {*names}
    for name in names:
        match(KEY, name) and check_key(name)
    number, until, previous, before, key, newest = 0, None, "", "", None, {}  # of the digest before
    unsigned, recovered, back = 0, 0, set()
    named, dark, months, heads = {}, [], {}, set(asked.head)  # dark: from when until when no digest can be read
    for name in digests:
        (data, said), hour = read(name, 0), hour_of(name)
        if said is None or said["from"] != f"{hour:%Y-%m-%dT%H}:00:00Z":
            find("digest_misplaced" if said else "digest_unreadable", name)
            number, newest, key = number + 1, None, None
            dark.append((hour, hour + HOUR))
        else:
            if said["seq"] != number + 1:
                find("digest_missing", name, f"it has number {said['seq']}; {number + 1} should follow")
                dark += [(until, hour)] if until else []
                newest = key = None
            elif said["previous"] != previous:
                find("digest_changed", before or name, f"{name} names another one before it")
            if said["seq"] == number + 1 and until not in {None, hour} or said["to"] != f"{hour + HOUR:%Y-%m-%dT%H}:00:00Z":
                find("hour_missing", name, f"{until} should follow")
            if key not in {None, said["key"]}:
                find("key_changed" if said["key"] else "signature_missing", name, f"{key or 'no key'} was to sign")
            if said["key"] and f"{name}.sig" in present:
                is_right = is_signed(name, said["key"])
                signed.update([said["key"]] if is_right else [])
                trusted.update([said["key"], said["next_key"]] if is_right else [])
            elif not said["key"]:
                trusted.add(said["next_key"])
                unsigned += 1
            elif name != digests[-1]:
                find("signature_missing", name)
            else:
                print("not proven: who wrote the newest digest; it has no signature yet")
            recovered += len(said["recovered"])
            back.update(said["numbers_go_back"])
            check_entries(name, said, newest, named)
            number, key, newest = said["seq"], said["next_key"] or said["key"], said["newest_seq"]
            first, _, _, objects, events, size, has_key = months.get(said["from"][:7], (number, 0, "", 0, 0, 0, False))
            size += sum(entry["bytes"] for entry in said["objects"])
            counts = objects + len(said["objects"]), events + said["events"], size
            months[said["from"][:7]] = first, number, sha256(data), *counts, has_key or bool(said["key"])
            for entry in said["objects"]:
                entry["name"] in present and check_object(entry)
        until, previous, before = hour + HOUR, sha256(data), name
        heads.discard(previous)
    missing, waiting = named.keys() - present, 0
    lacking = {named[name] for name in missing}
    explained = set()
    for name in names:
        part, stem, record = match(EVIDENCE, name), name.removesuffix(".sig"), match(RECORD, name)
        hour = hour_of(stem if match(DIGEST, stem) else name)
        if record:
            *sums, is_signed_month = months.get(record[1], (0, 0, "", 0, 0, 0, False))
            explained |= {record[1]} if check_record(name, sums, record[1] in lacking, is_signed_month) else set()
        elif name in named or stem in digests or match(KEY, name) or match(RECORD, stem):
            continue
        elif hour and (until is None or hour >= until):
            waiting += bool(part)
            part or find("digest_missing", stem, "its signature is there")
        elif (part or not hour) and not (hour and any(a <= hour < b for a, b in dark)) and name.startswith(("evidence/", "digests/", "keys/", "deletions/")):
            find("object_foreign", name, "it is in no digest")
    for name in missing:
        named[name] in explained or find("object_missing", name)
    for head in heads:
        find("head_missing", head, "digests were cut off at the end, or replaced")
    if asked.key and not {*asked.key} & signed:
        find("key_unknown", ", ".join(sorted(asked.key)), f"signed: {', '.join(signed)}")
    digests or find("digest_missing", "digests/v1/", "there is none")
    print(f"{len(digests)} digests, the newest is {previous}; keys that signed: {', '.join(sorted(signed)) or 'none'}")
    print("not proven: how many lines each object unpacks to, and that everything arrived here")
    for count, what in (
        (waiting, f"what {waiting} objects are that are in no digest yet"),
        (unsigned, f"who wrote {unsigned} digests without a signature"),
        (recovered, f"that a daemon stored {recovered} objects, which it found after a kill"),
        (back, f"that no event is there twice: numbers go back in {', '.join(sorted(back))}"),
    ):
        count and print(f"not proven: {what}".encode("unicode_escape").decode())
    findings or print(f"proven: {len(named)} objects, but for those deleted on record, are what their digests were written of")
    asked.head or print("not proven: that nothing was cut off at the end (--head)")
    asked.key or print("not proven: whose keys these are (--key)")
    print("\n".join(sorted(findings)) or "nothing is other than it was written")
    return bool(findings)

if __name__ == "__main__":
    sys.exit(main())
