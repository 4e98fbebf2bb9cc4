#!/usr/bin/env python3
# fmt: off
# mypy: ignore-errors
"""Check a copy of an archive with nothing but Python (3.11) and the program openssl (3.0).

Prints what is not as it was written, and ends with 1 when anything is: docs/tamper-evidence.md explains each finding.
"""
import argparse, collections, datetime, hashlib, json, os, pathlib, re, subprocess, sys

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("folder", help="of the archive")
options.add_argument("--head", nargs="*", default=[], help="SHA-256 of digests that you know, of heartbeats or reports")
options.add_argument("--key", nargs="*", default=[], help="ids of keys of which one must have signed")
options.add_argument("--part", action="store_true", help="it may begin anywhere, and lack objects: of a package of evidence")
asked = options.parse_args()
os.chdir(asked.folder)

OBJECT = r"evidence/v1/source=([\w%-]+)/day=(\d{4})-(\d\d)-(\d\d)/hour=(\d\d)/\d{16}-\d{16}\.ndjson\.zst"
DIGEST = r"digests/v1/()([1-8]\d{3})/(\d\d)/(\d\d)/(\d\d)\.json"
MEMBERS = {"v": int, "seq": int, "from": str, "to": str, "writer": str, "writer_since": str, "key": str, "next_key": str,
           "previous": str, "objects": list, "events": int, "recovered": list, "newest_seq": dict, "numbers_go_back": list}
MEMBERS_OF_OBJECT = {"name": str, "bytes": int, "sha256": str, "events": int, "first_seq": int, "last_seq": int}
MEMBERS_OF_RECORD = {"v": int, "month": str, "key": str, "first_digest": int, "last_digest": int, "last": str, "objects": int,
                     "events": int, "bytes": int, "retain_months": int, "made": str}
HOUR = datetime.timedelta(hours=1)
findings, not_proven = set(), collections.Counter()

def find(kind, name, why=""):
    findings.add(f"FOUND {kind}: {name} {why}".encode("unicode_escape").decode())

def sha256(data):
    return hashlib.sha256(data).hexdigest()

def openssl(words):
    return subprocess.run(["openssl", *words.split()], capture_output=True)

def hour_of(form, name):
    """Return the hour that is in the name of an object or a digest; None for a name of another form."""
    found = re.fullmatch(form, name, re.ASCII)
    try:
        return datetime.datetime(*map(int, found.groups()[1:])) if found else None
    except ValueError:
        return None

def read(data, members):
    """Return what a digest or record says; None unless it has the only form in which that is written."""
    try:
        said = json.loads(data)
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
        parts = [(said, members), *((each, MEMBERS_OF_OBJECT) for each in (said["objects"] if members is MEMBERS else ()))]
        has_members = all({at: type(value) for at, value in part.items()} == of for part, of in parts)
        has_members &= {str} >= {type(each) for at in ("recovered", "numbers_go_back") for each in said.get(at, ())}
        has_members &= {int} >= {type(each) for each in said.get("newest_seq", {}).values()}
        has_ids = all(re.fullmatch("([0-9a-f]{32})?", said.get(at, "")) for at in ("key", "next_key"))
        for at in {"from", "to"} & said.keys():
            datetime.datetime.strptime(said[at], "%Y-%m-%dT%H:00:00Z")
        return said if text.encode() == data and has_members and has_ids and said["v"] == 1 else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None

def is_signed(name, key):
    file = f"keys/v1/{key}.pem"
    if file not in keys:
        return find("key_missing", file)
    right = keys[file] and not openssl(f"pkeyutl -verify -pubin -inkey {file} -rawin -in {name} -sigfile {name}.sig").returncode
    return right or keys[file] and find("signature_wrong", name)

# What is there
paths = [path for path in pathlib.Path().rglob("*") if path.is_symlink() or not path.is_dir()]
files = {str(path): path for path in paths if path.is_file() and not path.is_symlink()}
for path in {*paths} - {*files.values()}:
    find("object_foreign", path, "it is not a file")
keys = {name: False for name in files if re.fullmatch(r"keys/v1/\w+\.pem", name, re.ASCII)}
for name in keys:
    keys[name] = sha256(openssl(f"pkey -pubin -in {name} -outform DER").stdout)[:32] == name[8:-4]
    keys[name] or find("key_wrong", name)

# The chain: each digest has the next number, is of the next hour, names the digest before and is signed
number, key, newest = (None if asked.part else 1), None, (None if asked.part else {})  # None: the next may have any
before, previous, end = "", "", None  # name, SHA-256 and end of the digest before
months, named, hours, hashes, signed, trusted = collections.defaultdict(list), {}, set(), set(), set(), set()
digests = sorted(name for name in files if hour_of(DIGEST, name))
for name in digests:
    data, hour = files[name].read_bytes(), hour_of(DIGEST, name)
    said = read(data, MEMBERS)
    if said is None or said["from"] != f"{hour:%Y-%m-%dT%H}:00:00Z":
        find("digest_misplaced" if said else "digest_unreadable", name)
        number, key, newest = number and number + 1, None, None
    else:
        if number is not None and said["seq"] != number:
            find("digest_missing", name, f"it has number {said['seq']}; {number} should follow")
            key = newest = None
        elif number is not None:
            said["previous"] == previous or find("digest_changed", before or name, f"{name} names another one before it")
            end in {None, hour} or find("hour_missing", name, f"{end} should follow")
        said["to"] == f"{hour + HOUR:%Y-%m-%dT%H}:00:00Z" or find("hour_missing", name, "it is not of one hour")

        if key not in {None, said["key"]}:
            find("key_changed" if said["key"] else "signature_missing", name, f"{key or 'no key'} was to sign")
        if not said["key"]:
            trusted.add(said["next_key"])
            not_proven["who wrote {} digests without a signature"] += 1
        elif f"{name}.sig" not in files:
            find("signature_missing", name) if name != digests[-1] else not_proven.update(["who wrote the newest digest"])
        elif is_signed(name, said["key"]):
            signed.add(said["key"])
            trusted |= {said["key"], said["next_key"]}

        numbers, back, last_name = {}, set(), ""
        if said["events"] != sum(entry["events"] for entry in said["objects"]):
            find("counts_wrong", name)
        for entry in said["objects"]:
            each, first, last, stored = entry["name"], entry["first_seq"], entry["last_seq"], hour_of(OBJECT, entry["name"])
            held = files[each].read_bytes() if each in files else None
            if held is not None and (len(held), sha256(held)) != (entry["bytes"], entry["sha256"]):
                find("object_truncated" if len(held) < entry["bytes"] else "object_changed", each)
            if each in named or each <= last_name:
                find("object_twice", each)
            named[each], last_name = f"{hour:%Y-%m}", each
            if stored is None or not each.endswith(f"/{first:016}-{last:016}.ndjson.zst"):
                newest = find("numbers_wrong", each)
                continue
            1 <= entry["events"] <= last - first + 1 or find("counts_wrong", each)
            stored <= hour or find("hour_wrong", each, f"{name} is of an hour before it")
            source = re.match(OBJECT, each)[1]
            back |= {source} if first <= numbers.get(source, (newest or {}).get(source, 0)) else set()
            numbers[source] = max(numbers.get(source, 0), last)
        if newest is not None and ({**newest, **numbers}, sorted(back)) != (said["newest_seq"], said["numbers_go_back"]):
            find("numbers_wrong", name, "numbers overlap or go back, and it does not say so")
        {*said["recovered"]} <= {entry["name"] for entry in said["objects"]} or find("counts_wrong", name)
        number, key, newest = said["seq"] + 1, said["next_key"] or said["key"], said["newest_seq"]
        months[f"{hour:%Y-%m}"].append((said, sha256(data)))
        hours.add(hour)
    before, previous, end = name, sha256(data), hour + HOUR
    hashes.add(previous)

# What digests name and is not there, but for months that were deleted on record
missing, explained = named.keys() - files, set()
for name in files:
    if not (found := re.fullmatch(r"deletions/v1/(\d{4}-\d\d)\.json", name, re.ASCII)):
        continue
    said, month = read(files[name].read_bytes(), MEMBERS_OF_RECORD), months[found[1]]
    entries = [entry for digest, _ in month for entry in digest["objects"]]
    sums = {"month": found[1], "first_digest": month[0][0]["seq"] if month else 0, "last_digest": month[-1][0]["seq"] if month else 0,
            "last": month[-1][1] if month else "", "objects": len(entries), "events": sum(digest["events"] for digest, _ in month),
            "bytes": sum(entry["bytes"] for entry in entries)}
    is_right, is_lacking = said and {**said, **sums} == said, any(named[each] == found[1] for each in missing)
    if said and said["key"] and f"{name}.sig" not in files:
        is_lacking and find("signature_missing", name)
    elif said and said["key"]:
        is_right = is_signed(name, said["key"]) and said["key"] in trusted and is_right
    elif said:
        is_right = is_right and not any(digest["key"] for digest, _ in month)
    is_right or find("deletion_wrong", name, "the digests say otherwise, or who signed them did not sign it")
    if said and is_lacking:
        explained.add(found[1])
        not_proven[f"what the {said['events']} events of {found[1]} were, whose deletion is on record"] += 1
for name in () if asked.part else missing:
    named[name] in explained or find("object_missing", name)

# What is there and no digest names
for name in files.keys() - named - keys.keys():
    stored, closed = hour_of(OBJECT, name), hour_of(DIGEST, name.removesuffix(".sig"))
    if closed:
        name.removesuffix(".sig") in files or end and closed < end or find("digest_missing", name[:-4], "its signature is there")
    elif stored and (end is None or stored >= end):
        not_proven["what {} objects are that are in no digest yet"] += 1
    elif stored and stored not in hours and stored > min(hours, default=datetime.datetime.min):
        not_proven["what {} objects are whose digest is missing or unreadable"] += 1
    elif re.match("(evidence|digests|keys|deletions)/", name) and not re.fullmatch(r"deletions/v1/\d{4}-\d\d\.json(\.sig)?", name):
        find("object_foreign", name)

# What you know
digests or find("digest_missing", "digests/v1/", "there is none")
for head in {*asked.head} - hashes:
    find("head_missing", head, "digests were cut off at the end, or replaced")
if asked.key and not signed & {*asked.key}:
    find("key_unknown", ", ".join(asked.key))
not_proven.update({"that nothing was cut off at the end (--head)": not asked.head, "whose keys signed (--key)": not asked.key})
print(f"{len(digests)} digests, the newest is {previous or 'none'}; signed by {', '.join(sorted(signed)) or 'no one'}")
findings or print(f"proven: {len(named.keys() & files)} objects are what their digests were written of")
for what, count in not_proven.items():
    count and print("not proven:", what.format(count))
print("not proven: that everything arrived here; and what is in the objects, which only the command unpacks")
print("\n".join(sorted(findings)) or "nothing is other than it was written")
sys.exit(bool(findings))
