#!/usr/bin/env python3
"""Recovers a Lifeboat repository (format version 1) without Lifeboat.

    recover.py verify REPO                                    is this copy whole, and who signed it? (no key)
    recover.py key SHARE... [--repo REPO]          the age identity, for a pipe: recover.py key ... | age -d -i - FILE
    recover.py extract REPO --share SHARE... --json           every value, one JSON line each, on stdout
    recover.py extract REPO --share SHARE... --out DIR        every value as a file (0600)

SHARE is a text file with one or more shares; - reads them from standard input. Shares are never arguments.
Needs Python 3.8, and for extract the programs age and zstd; ssh-keygen checks the signatures.
The formats are described in docs/format.md of the Lifeboat source. Python cannot wipe memory: use a machine that
is offline and is wiped afterwards.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 incomplete or late, 4 refused, 5 shares, 6 damage.
"""
import argparse, base64, bisect, datetime, hashlib, hmac, json, os, re, shlex, shutil, stat, subprocess, sys, tempfile
from collections import namedtuple
from urllib.parse import quote

ALPHABET = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def shown(text):
    """The one way of outside text to the terminal: control, bidirectional and other unprintable characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def say(message):
    print(shown(message))


def note(message):
    print(shown(message), file=sys.stderr)


def stop(message, code=1):
    note("recover.py: " + message)
    sys.exit(code)


# ---- text: bech32 and the codex32 checksum -------------------------------------------------------------------------

def polymod(values, generator, bits):
    residue = 1
    for value in values:
        top = residue >> bits
        residue = (residue & ((1 << bits) - 1)) << 5 ^ value
        for i, term in enumerate(generator):
            if top >> i & 1:
                residue ^= term
    return residue


def expanded(prefix):
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def bech32(prefix, data):
    number, length = int.from_bytes(data, "big"), -(-len(data) * 8 // 5)
    number <<= length * 5 - len(data) * 8
    values = [number >> 5 * i & 31 for i in reversed(range(length))]
    generator = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    check = polymod(expanded(prefix) + values + [0] * 6, generator, 25) ^ 1
    return prefix + "1" + "".join(ALPHABET[v] for v in values + [check >> 5 * i & 31 for i in range(5, -1, -1)]).lower()


def share_checksum_holds(body):
    """The regular code of codex32 (BIP-93) with the prefix lb."""
    generator = (0x19DC500CE73FDE210, 0x1BFAE00DEF77FE529, 0x1FBD920FFFE7BEE52, 0x1739640BDEEE3FDAD, 0x07729A039CFC75F5A)
    values = [ALPHABET.find(c) for c in body]
    return len(body) == 87 and -1 not in values and polymod(expanded("lb") + values, generator, 60) == 0x10CE0795C2FD1E62A


def row_checks(number, row):
    """Reed-Solomon over GF(32): row number, characters and two checks are a multiple of (x + 2)(x + 4)."""
    def times(a, b):
        product = 0
        for i in range(5):
            product ^= (a << i) * (b >> i & 1)
        for i in range(8, 4, -1):
            product ^= (0b101001 << (i - 5)) * (product >> i & 1)
        return product
    high = low = 0
    values = [number] + [ALPHABET.find(c) for c in row]
    if -1 in values:
        return "a letter that the alphabet avoids"
    for value in values:
        lead = value ^ high
        high, low = low ^ times(lead, 2 ^ 4), times(lead, times(2, 4))
    return ALPHABET[high] + ALPHABET[low]


# ---- shares --------------------------------------------------------------------------------------------------------

def letters(text):
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def rows_of(text):
    """Lines that may be typed rows, as (number or 0, characters, check or ""): 1: QQQQ QQQQ ... = XX"""
    row = r"^[^A-Za-z0-9\n]*(?:([1-4])[ \t]*[:.)]?[ \t]+)?([A-Za-z0-9][A-Za-z0-9 \t]*?)[ \t]*(?:=[ \t]*([A-Za-z0-9]{2}))?\s*$"
    return [(int(n or 0), letters(row), check.upper()) for n, row, check in re.findall(row, text, re.M)]


def shares_in(text, origin):
    """Every share of a text, as (head, x, y, fingerprint)."""
    bodies = [letters(text[m.end():])[:87] for m in re.finditer("LB1", text, re.I)]
    rows = rows_of(text)
    for at in range(len(rows) - 3):
        four = rows[at:at + 4]
        numbered = sorted(row[0] for row in four) == [1, 2, 3, 4]
        bodies.append("".join(row[1] for row in (sorted(four) if numbered else four)))
    good = sorted({body for body in bodies if share_checksum_holds(body)})
    if not good:
        bad = [str(n) for n, row, check in rows
               if n and check and (row_checks(n, row) != check or len(row) != (15 if n == 4 else 24))]
        stop(f"{origin}: no share found" + (f"; look at row {', '.join(bad)} again" if bad else " (LB1 and 87 characters)"), 5)
    return [share_fields(body, origin) for body in good]


def share_fields(body, origin):
    number = 0
    for c in body[:74]:
        number = number << 5 | ALPHABET.index(c)
    if number & 3:
        stop(f"{origin}: not a share (padding)", 5)
    data = (number >> 2).to_bytes(46, "big")
    k, n, x = data[1:4]
    if data[0] != 0x10:
        stop(f"{origin}: a share of another version", 5)
    if not (2 <= k <= n and 1 <= x <= n):
        stop(f"{origin}: not a share ({k} of {n}, number {x})", 5)
    return {"head": data[:3] + data[4:8] + data[40:], "k": k, "x": x, "y": data[8:40], "set": data[4:8],
            "fingerprint": data[40:], "sha256": hashlib.sha256(data).hexdigest(), "origin": origin}


def gf_times(a, b):
    product = 0
    while b:
        product ^= a * (b & 1)
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def gf_inverse(a):
    result = 1
    for _ in range(254):
        result = gf_times(result, a)
    return result


def combined(shares, at=0):
    """Lagrange interpolation in GF(2^8), polynomial 0x11d; addition is xor."""
    result = bytearray(32)
    for one in shares:
        weight = 1
        for other in shares:
            if other is not one:
                weight = gf_times(weight, gf_times(at ^ other["x"], gf_inverse(one["x"] ^ other["x"])))
        for i in range(32):
            result[i] ^= gf_times(weight, one["y"][i])
    return bytes(result)


def recovered_key(sources):
    """The 32 bytes, proven to be the key the shares name, and the shares."""
    shares = {}
    for source in sources:
        if source == "-" and sys.stdin.isatty():
            note("Type or scan the shares, then press Ctrl-D on a new line.")
        text = sys.stdin.read() if source == "-" else open(source, encoding="utf-8", errors="replace").read()
        for share in shares_in(text, "standard input" if source == "-" else source):
            first = next(iter(shares.values()), share)
            if share["head"] != first["head"]:
                stop(f"{share['origin']} and {first['origin']} are of different share sets "
                     f"({share['set'].hex().upper()}, {first['set'].hex().upper()})", 5)
            if shares.setdefault(share["x"], share)["y"] != share["y"]:
                stop(f"{share['origin']} and {shares[share['x']]['origin']} differ but have one number: one is forged", 5)
    shares = [shares[x] for x in sorted(shares)]
    if not shares or len(shares) < shares[0]["k"]:
        stop(f"have {len(shares)} of {shares[0]['k'] if shares else '?'} shares", 5)
    base, surplus = shares[:shares[0]["k"]], shares[shares[0]["k"]:]
    key = combined(base)
    if fingerprint(root_public(key), x25519_public(key)) != shares[0]["fingerprint"]:
        stop("the shares do not give the key they name: at least one is not genuine; try others", 5)
    wrong = [share["origin"] for share in surplus if combined(base, share["x"]) != share["y"]]
    if wrong:
        note("not genuine, and not needed: " + ", ".join(wrong))
    return key, shares


# ---- the public halves of the key ----------------------------------------------------------------------------------

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P


def x25519_public(key):
    """RFC 7748 with base point 9."""
    k = int.from_bytes(key, "little") & ((1 << 254) - 8) | 1 << 254
    x2, z2, x3, z3 = 1, 0, 9, 1
    for i in range(254, -1, -1):
        bit = k >> i & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        x3, z3, x2 = (da + cb) ** 2 % P, 9 * (da - cb) ** 2 % P, aa * bb % P
        z2 = (aa - bb) * (aa + 121665 * (aa - bb)) % P
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def root_public(key):
    """Ed25519 (RFC 8032) of the seed HKDF-SHA-256(key, no salt, "lifeboat/v1/root-signing")."""
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    seed = hmac.new(extracted, b"lifeboat/v1/root-signing\x01", hashlib.sha256).digest()
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little") & ((1 << 254) - 8) | 1 << 254

    def add(p, q):
        a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
        c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
        e, f, g, h = b - a, d - c, d + c, b + a
        return e * f % P, g * h % P, f * g % P, e * h % P

    gy = 4 * pow(5, P - 2, P) % P
    gx = 15112221349535400772501151409588531511454012693041857206046113283949847762202
    total, point = (0, 1, 1, 0), (gx, gy, 1, gx * gy % P)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    inverse = pow(total[2], P - 2, P)
    x, y = total[0] * inverse % P, total[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def fingerprint(root, recipient):
    return hashlib.sha256(root + recipient).digest()[:6]


def ssh_public(raw):
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", raw))
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


# ---- the format ----------------------------------------------------------------------------------------------------

SMALL, BIG, LINE = 64 << 10, 16 << 20, 16 << 20
SEVERITY = {"missing": 6, "damaged": 6, "dangling": 6, "unsigned": 4, "untrusted": 4, "renamed": 4, "gap": 4, "fork": 4,
            "rolled_back": 4, "superseded": 4, "halted": 3, "late": 3, "junk": 0, "unknown": 0}
HISTORY = ("snapshots", "epochs", "closings", "forgotten", "records")
HEX, STEM = "[0-9a-f]{64}", "[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}"
KNOWN = re.compile(rf"""lifeboat\.json | RECOVER\.md | recover\.py | epochs/[1-9][0-9]*-{HEX}\.json(\.sig|\.countersig)?
    | snapshots/(0|[1-9][0-9]*)/{STEM}\.json(\.sig)? | (drills|attestations|forgotten|records)/{STEM}\.json(\.sig)?
    | (closings|lists)/{HEX}\.json | (indexes|configs)/{HEX}\.age | packs/(?P<hh>[0-9a-f]{{2}})/(?P=hh)[0-9a-f]{{62}}\.age
    | bundles/(0|[1-9][0-9]*)-{HEX}\.zst | turns/[1-9][0-9]*-[1-9][0-9]*\.json""", re.X)
Fault = namedtuple("Fault", "file kind detail number")
Epoch = namedtuple("Epoch", "name digest content data")
Found = namedtuple("Found", "name digest content")


class Bad(Exception):
    """Why one file does not count; `lapsed`: it is genuine, and its signer's right has ended."""
    def __init__(self, kind, detail, lapsed=False):
        super().__init__(detail)
        self.kind, self.detail, self.lapsed = kind, detail, lapsed


def moment(text):
    """A time in UTC, as something to compare."""
    parts = re.fullmatch(r"([0-9-]{10}T[0-9:]{8})(\.[0-9]{1,9})?Z", text)
    if not parts:
        raise ValueError("not a time")
    return datetime.datetime.strptime(parts[1], "%Y-%m-%dT%H:%M:%S"), float(parts[2] or 0)


def is_time(value):
    try:
        return isinstance(value, str) and bool(moment(value))
    except ValueError:
        return False


# What a file must look like: a name that ends in ? may be missing, * stands for any other, a tuple lists choices.
ID, DIGEST, HEX16, SET = (re.compile("[0-9a-f]{%d}" % n) for n in (32, 64, 16, 8))
KEY, RECIPIENT, KIND = re.compile("ssh-ed25519 [A-Za-z0-9+/]{68}"), re.compile("age1[0-9a-z]{58}"), re.compile("[a-z_]+")
REF = {"sha256": DIGEST, "size": int}
PACKS = {"new": [REF], "lists": [REF]}
LAYERS = [{"records": int, "removed": int, "files": [REF]}]
OF = {"version": int, "repository": ID}
PLACE = {"snapshot": ID, "sequence": int, "manifest": DIGEST, "previous": (DIGEST, None), "time": is_time}
IDENTITY = {**OF, "created": is_time}
EPOCH = {**OF, "number": int, "created": is_time, "recipient": RECIPIENT, "root": KEY, "threshold": int, "total": int,
         "share_set": SET, "custodians": [{"name": str, "share": int, "sha256": DIGEST}],
         "signers": [{"name": str, "key": KEY}], "previous?": {"number": int, "sha256": DIGEST}, "closing?": DIGEST}
CLOSING = {**OF, "epoch": int, "head": ({"sequence": int, "manifest": DIGEST}, None), "snapshots": [DIGEST],
           "excused": [PLACE], "drills": [DIGEST], "attestations": [DIGEST], "records": [DIGEST]}
COUNTS = ("listed captured excluded unreadable vanished labelled versions "
          "values_read values_carried values_absent values_unreadable").split()
MANIFEST = {**OF, "snapshot": ID, "sequence": int, "previous": (DIGEST, None), "time": is_time, "finished": is_time,
            "epoch": int, "signer": KEY, "source": {"provider": str, "account": str, "region": str}, "packs": PACKS,
            "indexes": LAYERS, "counts": dict.fromkeys(COUNTS, int), "accepted?": {"listed": int, "labelled": int, "lost?": bool},
            "full": {"sequence": int, "time": is_time}, "holds?": DIGEST,
            "readings": {"now": int, "kept": int, "oldest": (is_time, None), "ages": [{"days": int, "records": int}]},
            "sweeps": [{"from": HEX16, "to": HEX16, "time": is_time}],
            "seals": [{"purpose": str, "recipient": str, "full": bool, "packs": PACKS, "indexes?": LAYERS}],
            "config?": REF, "excluded": [{"rule": str, "secrets": int}],
            "unreadable": [{"part": str, "operation": str, "reason": str, "count": int}], "tool": str}
LIST = {"version": int, "packs": [REF]}
RULES = {f"keep_{name}": int for name in ("last", "daily", "weekly", "monthly", "yearly", "within?")}
FORGET = {**OF, "forget": ID, "time": is_time, "after": is_time, "undoes?": DIGEST, "rules?": RULES,
          "snapshots": [PLACE], "files": [str], "epoch": int, "signer": KEY}
RECORD = {**OF, "record": ID, "kind": KIND, "time": is_time, "epoch": int, "signer": KEY, "halts": [str],
          "undoes?": DIGEST, "body": {"*": object}}
ATTESTATION = {**OF, "attestation": ID, "epoch": int, "share": int, "custodian": str, "time": is_time,
               "result": re.compile("intact|altered"), "signer": KEY}
DRILL = {"repository": ID, "signer": KEY, "*": object}
VALUE = ({"state": re.compile("stored"), "pack": DIGEST, "line": int, "kind": re.compile("text|bytes|fields"),
          "size": int, "*": object}, {"state": re.compile("none|withheld|unreadable"), "*": object})
INDEX_LINE = ({"removed": {"name": str, "id": str}},
              {"secret": {"name": str, "id": str, "*": object}, "read": is_time, "*": object,
               "versions": [{"id": str, "current?": bool, "labels": [str], "value": VALUE, "*": object}]})
PACK_LINE = tuple({"secret": str, "version": str, kind: str} for kind in ("text", "bytes", "fields"))
# folder: shape, id, namespace of the signature, limit, the list of a closing list that names such files
SIGNED = {"snapshots": (MANIFEST, "snapshot", "lifeboat-manifest", SMALL, "snapshots"),
          "forgotten": (FORGET, "forget", "lifeboat-forget", BIG, "records"),
          "records": (RECORD, "record", "lifeboat-record", SMALL, "records"),
          "attestations": (ATTESTATION, "attestation", "lifeboat-audit", SMALL, "attestations"),
          "drills": (DRILL, None, "lifeboat-drill", BIG, "drills")}


def fits(value, shape):
    if isinstance(shape, dict):
        needed = {name for name in shape if name[-1] not in "?*"}
        shapes = {name.rstrip("?"): inner for name, inner in shape.items()}
        return (isinstance(value, dict) and needed <= set(value) and ("*" in shape or set(value) <= set(shapes))
                and all(fits(inner, shapes.get(name, object)) for name, inner in value.items()))
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(inner, shape[0]) for inner in value)
    if isinstance(shape, tuple):
        return any(fits(value, choice) for choice in shape)
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    if shape is int:
        return type(value) is int and 0 <= value < 2**53
    if isinstance(shape, type):
        return isinstance(value, shape)
    return value is None if shape is None else shape(value)


def unrepeated(pairs):
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return dict(pairs)


def refused(text):
    raise ValueError("not a number of JSON")


def whole_number(text):
    return int(text) if len(text) < 400 else refused(text)


def parsed(data, shape, depth=32):
    """The JSON of a file or line, which fits its shape; or raises Bad."""
    try:
        content = json.loads(data.decode(), object_pairs_hook=unrepeated, parse_constant=refused, parse_int=whole_number)
        level = [content]
        while level:
            for text in level:
                if isinstance(text, str):
                    text.encode()  # half a surrogate pair is not text
            level = [value for value in level if isinstance(value, (dict, list))]
            depth -= bool(level)
            if depth < 0:
                raise ValueError("it nests too deep")
            level = [inner for value in level for inner in ([*value, *value.values()] if isinstance(value, dict) else value)]
    except (ValueError, RecursionError) as error:
        reason = "it nests too deep" if isinstance(error, RecursionError) else str(error).split(":")[0]
        raise Bad("damaged", f"it is not JSON of format version 1 ({reason})") from None
    version = content.get("version") if isinstance(content, dict) else None
    if type(version) is int and version > 1 and "version" in shape:
        raise Bad("damaged", f"it is of format version {version}: use a newer release")
    if not fits(content, shape) or (isinstance(shape, dict) and "version" in shape and version != 1):
        raise Bad("damaged", "it is not of format version 1: a field is missing, unknown or of another type")
    return content


# ---- files ---------------------------------------------------------------------------------------------------------

def sha256(data):
    return hashlib.sha256(data).hexdigest()


def ordered(references):
    digests = [reference["sha256"] for reference in references]
    return digests == sorted(set(digests))


def name_of(folder, digest):
    """packs/HH/DIGEST.age, lists/DIGEST.json and the like."""
    inner = f"{digest[:2]}/{digest}" if folder == "packs" else digest
    return f"{folder}/{inner}.{'json' if folder in ('lists', 'closings') else 'age'}"


def stem(content, id_field):
    return f"{re.sub('[-:]', '', content['time'])}-{content[id_field][:8]}"


def place_of(number, content):
    """The file of a manifest."""
    return f"snapshots/{(number - 1) // 64}/{stem(content, 'snapshot')}.json"


class Folder:
    """The files of a repository: regular files only, and none that a link finds elsewhere."""
    def __init__(self, path):
        self.path = os.path.realpath(path)

    def real(self, name):
        path = os.path.realpath(os.path.join(self.path, *name.split("/")))
        if os.path.commonpath([path, self.path]) != self.path:
            raise Bad("damaged", "it is a link that leaves the folder")
        return path

    def opened(self, name):
        try:
            path = self.real(name)
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise Bad("damaged", "it is not a regular file")
            return open(path, "rb")
        except (FileNotFoundError, NotADirectoryError):
            raise Bad("missing", "it is missing") from None
        except OSError as error:
            raise Bad("damaged", f"it cannot be read: {error.strerror}") from None

    def read(self, name, limit=SMALL):
        with self.opened(name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise Bad("damaged", f"it has more than {limit} bytes")
        return data

    def compare(self, name, size, digest):
        """Raises Bad unless the file has this size (None: any) and digest."""
        found = hashlib.sha256()
        with self.opened(name) as file:
            actual = os.fstat(file.fileno()).st_size
            if size not in (None, actual):
                raise Bad("damaged", f"it has {actual} bytes, not {size}")
            for chunk in iter(lambda: file.read(1 << 20), b""):
                found.update(chunk)
        if found.hexdigest() != digest:
            raise Bad("damaged", "its content does not have its digest")

    def names(self, below="", depth=0):
        """Every file. A folder that a link finds elsewhere, or deeper than any of the format, is one name that ends in /"""
        for entry in sorted(os.scandir(os.path.join(self.path, below)), key=lambda entry: entry.name):
            name = below + entry.name
            if entry.is_dir() and KNOWN.fullmatch(name):
                yield name  # and reading it finds that it is no file
            elif entry.is_dir() and depth < 2 and os.path.realpath(entry.path).startswith(self.path + os.sep):
                yield from self.names(name + "/", depth + 1)
            elif not re.search("#[0-9]+$", name):  # else the temp file of an interrupted write
                yield name + "/" * entry.is_dir()

    def lines(self, name, identity):
        """The lines of a pack or index."""
        with self.opened(name) as file:
            yield from unsealed(file, identity)


def unsealed(file, identity):
    """The lines of a sealed file: age -d, then zstd -d. The identity goes through a pipe."""
    age = subprocess.Popen(["age", "-d", "-i", "-", f"/dev/fd/{file.fileno()}"], pass_fds=[file.fileno()],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    zstd = subprocess.Popen(["zstd", "-d", "-q", "-c"], stdin=age.stdout, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    age.stdout.close()
    try:
        age.stdin.write(identity.encode() + b"\n")
        age.stdin.close()
        for line in iter(lambda: zstd.stdout.readline(LINE + 2), b""):
            if not line.endswith(b"\n"):
                raise Bad("damaged", "a line is too long or does not end")
            yield line
        if zstd.wait() or age.wait():
            raise Bad("damaged", "it does not open with this key, or is not age over zstd")
    except BrokenPipeError:
        raise Bad("damaged", "age does not read it") from None
    finally:
        for program in (age, zstd):
            program.kill()
            program.wait()
        zstd.stdout.close()


# ---- the repository ------------------------------------------------------------------------------------------------

class Repository:
    """Epochs that count are read at once; load() reads the rest. `faults` is everything wrong, by file and kind."""
    def __init__(self, path, root, recipient, signatures=True):
        if signatures and not shutil.which("ssh-keygen"):
            stop("ssh-keygen is not installed (Debian: apt install openssh-client); it checks who wrote these files")
        self.folder, self.signatures, self.scratch = Folder(path), signatures, tempfile.TemporaryDirectory()
        self.faults, self.seen, self.lists = {}, set(), {}
        names = list(self.folder.names())
        self.known = [name for name in names if KNOWN.fullmatch(name)]
        self.others = sorted(set(names) - set(self.known))
        self.read_epochs(root, recipient)
        self.closings = {number: self.closing(epoch) for number, epoch in sorted(self.epochs.items()) if number > 1}

    def fault(self, name, kind, detail, number=None):
        self.faults.setdefault((name, kind), Fault(name, kind, detail, number))

    def bad(self, name, bad):
        self.fault(name, bad.kind, bad.detail)

    def documents(self, folder):
        return [name for name in self.known if name.startswith(folder + "/") and name.endswith(".json")]

    def genuine(self, data, signatures, key, namespace):
        """Raises Bad unless the first of these signature files that is there is the key's over these bytes."""
        if not self.signatures:
            return
        text = self.folder.read(self.signature_there(signatures))
        body = re.fullmatch(rb"-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END SSH SIGNATURE-----\n", text)
        parts = (base64.b64decode(key.split()[1]), namespace.encode(), b"", b"sha512")
        start = b"SSHSIG\0\0\0\1" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        allowed, signature = (os.path.join(self.scratch.name, name) for name in ("allowed", "signature"))
        for path, content in ((allowed, f'lifeboat namespaces="{namespace}" {key}\n'.encode()), (signature, text)):
            with open(path, "wb") as file:
                file.write(content)
        command = ["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "lifeboat", "-n", namespace, "-s", signature]
        try:
            fitting = body and base64.b64decode(body[1].replace(b"\n", b""), validate=True).startswith(start)
        except ValueError:
            fitting = False
        if not fitting or subprocess.run(command, input=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            raise Bad("untrusted", f"its signature is not a genuine one by {key}")

    def signature_there(self, names):
        there = [name for name in names if os.path.lexists(os.path.join(self.folder.path, name))]
        if self.signatures and not there:
            raise Bad("unsigned", "it has no signature")
        return (there or names)[0]

    # -- epochs

    def read_epochs(self, root, recipient):
        """The epochs that count: those of the anchor, and those that their `previous` leads to."""
        whole, broken, counting = {}, {}, {}
        for name in self.documents("epochs"):
            try:
                whole[name] = self.whole_epoch(name)
                self.genuine(whole[name].data, [name + ".sig"], whole[name].content["root"], "lifeboat-epoch")
            except Bad as bad:
                broken[name] = Bad("unsigned", bad.detail) if name in whole else bad
        good = [epoch for name, epoch in whole.items() if name not in broken]
        root = root or self.only_root(good)
        anchored = [e for e in good if e.content["root"] == root and recipient in (None, e.content["recipient"])]
        if not anchored:
            for name, bad in broken.items():
                note(f"FAULT {name}:{bad.kind}: {bad.detail}")
            worst = max([SEVERITY[bad.kind] for bad in broken.values()], default=0)
            stop("no key epoch here belongs to this key", worst or (5 if recipient else 4))
        self.repository = self.identity({epoch.content["repository"] for epoch in anchored})
        anchored = [epoch for epoch in anchored if epoch.content["repository"] == self.repository]
        # Two ceremonies that knew nothing of each other: what a later epoch follows counts, else the one made later.
        order = lambda epoch: (epoch.content["number"], moment(epoch.content["created"]), epoch.digest)
        self.newest = max(anchored, key=order)
        follows = self.follow_back(self.newest, whole, broken, counting)
        self.epochs = {epoch.content["number"]: epoch for epoch in counting.values()}
        for epoch in anchored:
            if epoch.name not in follows:
                self.fault(epoch.name, "fork", f"there are two epochs {epoch.content['number']} of this key")
        for name in self.documents("epochs"):
            if name not in counting and not {(name, "unsigned"), (name, "fork")} & set(self.faults):
                self.judge_other_epoch(name, whole.get(name), broken.get(name))
        if 1 in self.epochs:
            identity = {"version": 1, "repository": self.repository, "created": self.epochs[1].content["created"]}
            try:
                if self.folder.read("lifeboat.json") != (json.dumps(identity, indent=2) + "\n").encode():
                    raise Bad("damaged", "it is not what epoch 1 says")
            except Bad as bad:
                self.bad("lifeboat.json", bad)

    def whole_epoch(self, name):
        number, digest = re.fullmatch(r"epochs/([0-9]+)-(.{64})\.json", name).groups()
        data = self.folder.read(name)
        if sha256(data) != digest:
            raise Bad("damaged", "its digest is not the one in its name")
        content = parsed(data, EPOCH)
        before = content.get("previous", {"number": 0})["number"]
        if str(content["number"]) != number or before + 1 != content["number"]:
            raise Bad("junk", "its number is not that of its name, or not one more than that of the epoch before")
        return Epoch(name, digest, content, data)

    def only_root(self, good):
        """Without an anchor: the root of the highest epoch, which proves nothing."""
        highest = max([epoch.content["number"] for epoch in good], default=0)
        roots = {epoch.content["root"] for epoch in good if epoch.content["number"] == highest}
        if len(roots) > 1:
            stop("epochs of several keys are here: use --root to name the one to believe", 4)
        return roots.pop() if roots else "?"

    def identity(self, repositories):
        """The id of this repository; lifeboat.json chooses where one key has epochs of several."""
        try:
            there = parsed(self.folder.read("lifeboat.json"), IDENTITY)["repository"]
        except Bad:
            there = None
        if there not in repositories and len(repositories) > 1:
            stop("lifeboat.json is damaged, and this key has epochs of several repositories here. Use another copy", 6)
        return there if there in repositories else repositories.pop()

    def follow_back(self, epoch, whole, broken, counting):
        """The names back to epoch 1, of which every one must be whole; from an unsigned one on they do not count."""
        believed, names = True, set()
        while True:
            names.add(epoch.name)
            believed = believed and epoch.name not in broken
            if epoch.name in broken:
                self.bad(epoch.name, broken[epoch.name])
            elif believed:
                counting[epoch.name] = epoch
            if "previous" not in epoch.content:
                return names
            name = "epochs/{number}-{sha256}.json".format(**epoch.content["previous"])
            if name not in whole or whole[name].content["repository"] != self.repository:
                bad = broken.get(name, Bad("missing", "it is missing"))
                stop(f"{name}: {bad.detail}. Without it nothing here can be believed. Use another copy", 6)
            epoch = whole[name]

    def judge_other_epoch(self, name, epoch, bad):
        """A file in epochs/ that does not count: the successor of the newest, or junk."""
        newest = self.newest.content["number"]
        named = epoch and epoch.content.get("previous") == {"number": newest, "sha256": self.newest.digest}
        follows = name.startswith(f"epochs/{newest + 1}-")
        if follows and bad and bad.kind != "junk" and (named or not epoch):
            self.fault(name, bad.kind, f"it may be the successor of the newest epoch: {bad.detail}")
        elif follows and named and epoch.content["root"] != self.newest.content["root"] and self.countersigned(epoch):
            self.fault(name, "superseded", f"there is a newer key: the sheets of epoch {newest + 1} open what is newer")
        else:
            self.fault(name, "junk", "it does not belong to the key epochs that count")

    def countersigned(self, epoch):
        for key in self.signers(self.newest.content["number"]):
            try:
                self.genuine(epoch.data, [epoch.name + ".countersig"], key, "lifeboat-epoch")
                return True
            except Bad:
                pass
        return False

    def closing(self, epoch):
        """The closing list of an epoch; none, or one that does not count, lists nothing."""
        content, digest = {field: [] for field in CLOSING}, epoch.content.get("closing")
        if digest is None:
            return content
        name = name_of("closings", digest)
        try:
            data = self.folder.read(name, BIG)
            if sha256(data) != digest:
                raise Bad("damaged", "its content does not have its digest")
            listed = parsed(data, CLOSING)
            if listed["repository"] != self.repository or listed["epoch"] + 1 != epoch.content["number"]:
                raise Bad("untrusted", "it closes another epoch")
            content = listed
        except Bad as bad:
            self.bad(name, bad)
        return {field: content[field] if field == "excused" else set(content[field])
                for field in ("snapshots", "excused", "drills", "attestations", "records")}

    # -- signed files

    def signers(self, number):
        return {signer["key"] for signer in self.epochs[number].content["signers"]} if number in self.epochs else set()

    def counted(self, name, folder):
        """A signed file that counts, or Bad."""
        shape, id_field, namespace, limit, listed = SIGNED[folder]
        data = self.folder.read(name, limit)
        content, digest = parsed(data, shape, 64 if folder == "records" else 32), sha256(data)
        new = content["packs"]["new"] if folder == "snapshots" else []
        if len(new) > 16 or not ordered(new):
            raise Bad("damaged", "its packs are too many or not sorted")
        right = name
        if id_field:
            right = place_of(content["sequence"], content) if folder == "snapshots" else f"{folder}/{stem(content, id_field)}.json"
        signatures = [name + ".sig", right + ".sig"] if name != right else [name + ".sig"]
        self.signature_there(signatures)
        key = content["signer"]
        if content["repository"] != self.repository:
            raise Bad("untrusted", "it belongs to another repository")
        reason = self.no_right(key, content, digest, folder, listed)
        if reason and not reason.lapsed:
            raise reason
        self.genuine(data, signatures, key, namespace)
        if content.get("sequence") == 0:
            raise Bad("damaged", "its number is 0")
        if name != right:
            raise Bad("renamed", f"it is genuine, and its name is {right}")
        if reason:
            raise reason
        return Found(name, digest, content)

    def no_right(self, key, content, digest, folder, listed):
        """Why the signer of a file may not sign it, as Bad, or None."""
        epoch, reason = content.get("epoch", 0), None
        if folder in ("drills", "attestations"):
            epoch = max([number for number in self.epochs if key in self.signers(number)], default=0)
        if key not in self.signers(epoch):
            return Bad("untrusted", f"{key} may not sign for epoch {epoch}")
        later = [number for number in sorted(self.epochs) if number > epoch and key not in self.signers(number)]
        if later and digest not in self.closings[later[0]][listed]:
            reason = f"epoch {later[0]} removed its signer, and its closing list does not name this file"
        orders = folder == "forgotten" and "undoes" not in content
        if orders and key not in self.signers(max(self.epochs)):
            reason = "its signer may not sign any more: it orders and excuses nothing"
        # What a removed signer ordered to be forgotten has no effect; the closing list excuses what is gone.
        return Bad("junk" if folder == "forgotten" else "untrusted", reason, folder == "forgotten") if reason else None

    def all_counted(self, folder):
        for name in self.documents(folder):
            try:
                yield self.counted(name, folder)
            except Bad as bad:
                self.bad(name, bad)

    def load(self):
        """Reads every manifest and record, and follows the chain."""
        for name in self.others:
            if name.endswith("/") and name.strip("/").split("/")[0] in (*SIGNED, *HISTORY, "packs", "indexes", "lists"):
                self.fault(name, "damaged", "it is a link that leaves the folder, or a folder where a file belongs")
                continue
            try:
                self.counted(name, "snapshots")
            except Bad as bad:
                self.bad(name, bad if bad.kind == "renamed" else Bad("unknown", "its name is none of this format"))
        forgets, records = list(self.all_counted("forgotten")), list(self.all_counted("records"))
        undone = lambda all: {found.content.get("undoes") for found in all}
        self.records = [found for found in records if found.digest not in undone(records)]
        for found in self.records:
            halts, what = " and ".join(found.content["halts"]), f"a signed record of kind {found.content['kind']}"
            self.fault(found.name, "halted" if halts else "unknown", f"{what} forbids {halts}" if halts else what)
        places = [place for closing in self.closings.values() for place in closing["excused"]]
        for found in forgets:
            if found.digest not in undone(forgets) and "undoes" not in found.content:
                places += found.content["snapshots"]
        self.manifests = sorted(self.all_counted("snapshots"), key=lambda found: (found.content["sequence"], found.name))
        self.follow_chain(places)
        return self

    def follow_chain(self, excused):
        """Gaps, forks, and manifests that came late. What is excused has its place, whether it is there or not."""
        self.numbers, self.late, epoch, last = {}, set(), 0, 0
        for found in self.manifests:
            if found.content["epoch"] < epoch:
                self.late.add(found.digest)
                self.fault(found.name, "late", "its host did not know the newest key epoch of its time")
            epoch = max(epoch, found.content["epoch"])
        links = {place["manifest"]: (place["sequence"], place_of(place["sequence"], place), place["previous"])
                 for place in excused if place["sequence"]}
        links.update({found.digest: (found.content["sequence"], found.name, found.content["previous"])
                      for found in self.manifests})
        files = {}
        for digest, (number, name, previous) in links.items():
            self.numbers.setdefault(number, {})[digest] = previous
            files.setdefault(number, []).append((name, previous))
        for number, here in sorted(files.items()):
            here.sort(key=lambda link: link[0])
            if number != last + 1:
                missing = f"{last + 1}" if number == last + 2 else f"{last + 1} to {number - 1}"
                self.fault(here[0][0], "gap", f"snapshots before it are missing (number {missing})")
            for name, _ in here[1:]:
                self.fault(name, "fork", f"there are two snapshots of its number ({number})", number)
            for name, previous in here:
                if not self.follows(number, previous, last):
                    self.fault(name, "fork", f"it does not follow the snapshot before it (number {number})", number)
            last = number

    def follows(self, number, previous, last):
        """Whether `previous` is a snapshot of the number before; after a gap nothing can be said."""
        if previous is None or number == 1:
            return previous is None and number == 1
        return number != last + 1 or previous in self.numbers[last]

    def held_against(self, expected, other):
        """What others remember: a number, or another copy."""
        head = max(self.numbers, default=0)
        if expected is not None and head < expected:
            self.fault("snapshots", "rolled_back", f"the newest snapshot is number {head}, and {expected} was expected")
        if other:
            theirs, epoch = max(other.numbers, default=0), other.newest.content["number"]
            newer = {fault for fault in other.faults if fault[1] == "superseded"} - set(self.faults)
            if theirs > head or epoch > self.newest.content["number"] or newer:
                self.fault("snapshots", "rolled_back", f"the other copy goes on to number {theirs} and epoch {epoch}")
            elif theirs and not set(other.numbers[theirs]) <= set(self.numbers.get(theirs, ())):
                self.fault("snapshots", "fork", f"the other copy has another snapshot of number {theirs}")

    # -- one snapshot

    def chosen(self, wanted):
        """A snapshot by the beginning of its id."""
        fitting = [found for found in self.manifests if found.content["snapshot"].startswith(wanted.lower())]
        if len(fitting) == 1 and len(wanted) >= 4:
            return fitting[0]
        bad = [] if fitting else [fault for fault in self.faults.values() if SEVERITY[fault.kind]]
        bad = [fault for fault in bad if f"-{wanted.lower()[:8]}" in fault.file] or bad
        for fault in bad:
            note(f"FAULT {fault.file}:{fault.kind}: {fault.detail}")
        stop(f"no single verified snapshot {wanted}", max([4, *[SEVERITY[fault.kind] for fault in bad]]) if bad else 2)

    def newest_of(self, source, at):
        """The newest snapshot of a source; with a time, of those whose time counts and is not after it."""
        fitting = [found for found in self.manifests if found.digest not in self.late]
        sources = {place(found) for found in fitting}
        sources = sorted(one for one in sources if source in (None, one, one.partition(":")[2]))
        if not sources:
            stop(f"there is no snapshot of {source}" if source else "there is no snapshot here", 2)
        if len(sources) > 1:
            stop("there are snapshots of several sources; choose one: " + ", ".join(f"--source {one}" for one in sources), 2)
        fitting = [found for found in fitting if place(found) == sources[0]]
        if at:
            fitting = [found for found in self.in_time(fitting) if moment(found.content["time"]) <= at]
        if not fitting:
            stop("there is no snapshot of this source taken at or before that time", 2)
        if len([found for found in fitting if found.content["sequence"] == fitting[-1].content["sequence"]]) > 1:
            stop("there are two newest snapshots: choose one by its id, with --snapshot", 4)
        return fitting[-1]

    def in_time(self, candidates):
        """Of the snapshots of one source: the longest run along the chain of times that count and never decrease."""
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None), 0
        tails, runs = [], []  # the least last time of a run of each length, and that run as (manifest, run before)
        for found in candidates:
            time, created = moment(found.content["time"]), self.epochs[found.content["epoch"]].content["created"]
            if moment(created) <= time <= now:
                at = bisect.bisect_right(tails, time)
                tails[at:at + 1], runs[at:at + 1] = [time], [(found, runs[at - 1] if at else None)]
        run, members = runs[-1] if runs else None, []
        while run:
            members.append(run[0])
            run = run[1]
        return members[::-1]

    def compared(self, folder, references):
        """The names of these files; whether each is there and whole is looked at once."""
        names = [name_of(folder, reference["sha256"]) for reference in references]
        for name, reference in zip(names, references):
            if (name, reference["size"]) not in self.seen:
                self.seen.add((name, reference["size"]))
                try:
                    self.folder.compare(name, reference["size"], reference["sha256"])
                except Bad as bad:
                    self.bad(name, bad)
        return names

    def usable(self, name):
        """Whether a file that was compared is there and whole. No other one is ever opened, even if its fault was accepted."""
        return not {(name, "missing"), (name, "damaged")} & set(self.faults)

    def packs_of(self, packs, again=True):
        """The references of a pack set, with or without those of lists that were read before."""
        found = list(packs["new"])
        for name in filter(self.usable, self.compared("lists", packs["lists"])):
            try:
                if name in self.lists and not again:
                    continue
                self.lists[name] = self.lists.get(name) or parsed(self.folder.read(name, BIG), LIST)["packs"]
                if not ordered(self.lists[name]):
                    raise Bad("damaged", "its packs are not sorted")
                found += self.lists[name]
            except Bad as bad:
                self.bad(name, bad)
        return found

    def check_files(self, found, everything=True):
        """Compares the files of a snapshot; gives the names of those that it needs."""
        content, need = found.content, {found.name, self.epochs[found.content["epoch"]].name}
        for part in [content] + (content["seals"] if everything else []):
            indexes = [reference for layer in part.get("indexes", []) for reference in layer["files"]]
            some = {"lists": part["packs"]["lists"], "packs": self.packs_of(part["packs"], not everything), "indexes": indexes}
            need.update(name for folder in some for name in self.compared(folder, some[folder]))
        if everything and "config" in content:
            self.compared("configs", [content["config"]])
        return need

    def records_of(self, found, identity):
        """The records of all layers: the newest line of each name and id counts."""
        merged, wanted = {}, found.content["counts"]["captured"] + found.content["counts"]["unreadable"]
        for layer in found.content["indexes"]:
            last, counts, names = None, {"secret": 0, "removed": 0}, self.compared("indexes", layer["files"])
            for name in filter(self.usable, names):
                try:
                    for line in self.folder.lines(name, identity):
                        entry = parsed(line, INDEX_LINE, 64)
                        kind = "secret" if "secret" in entry else "removed"
                        key = entry[kind]["name"], entry[kind]["id"]
                        if last is not None and key <= last:
                            raise Bad("damaged", "its lines are not in order")
                        last, merged[key] = key, entry if kind == "secret" else None
                        counts[kind] += 1
                except Bad as bad:
                    self.bad(name, bad)
            if (counts["secret"], counts["removed"]) != (layer["records"], layer["removed"]):
                self.fault((names or [found.name])[-1], "damaged", "the manifest counts its records otherwise")
        records = [record for _, record in sorted(merged.items()) if record]
        if len(records) != wanted:
            self.fault(found.name, "dangling", f"its indexes have {len(records)} records, and it counts {wanted}")
        return records

    def in_the_way(self, target=None, need=()):
        """The faults that refuse a snapshot: the newest or that of a time (no target), or one by its id."""
        restoring = {found.name for found in self.records if "restore" in found.content["halts"]}
        for fault in self.faults.values():
            own = fault.file in need and not (target and fault.kind in ("gap", "fork"))
            if fault.kind == "halted":
                wide = fault.file in restoring
            elif target:
                wide = fault.number == target.content["sequence"]
            else:
                wide = fault.file.split("/")[0] in HISTORY
            if SEVERITY[fault.kind] and (own or wide):
                yield fault


# ---- commands ------------------------------------------------------------------------------------------------------

def place(found):
    return "{provider}:{account}:{region}".format(**found.content["source"])


def refuse(faults, accepted):
    """Ends with the worst severity unless every fault was accepted."""
    left = [fault for fault in faults if shown(f"{fault.file}:{fault.kind}") not in accepted]
    for fault in left:
        note(f"FAULT {fault.file}:{fault.kind}: {fault.detail}")
    if left:
        note("Try another copy of the repository first. To go on in spite of a fault, find its cause, and use")
        for fault in left:
            note("    --accept-fault " + shlex.quote(shown(f"{fault.file}:{fault.kind}")))
        sys.exit(max(4, *[SEVERITY[fault.kind] for fault in left]))


def opened(arguments, root, recipient):
    """The repository, held against what others remember."""
    if arguments.without_signatures:
        note("WARNING: no signature is checked: anyone may have written these files")
    repository = Repository(arguments.repo, root, recipient, not arguments.without_signatures).load()
    other = None
    if arguments.compare:
        root = repository.newest.content["root"]
        other = Repository(arguments.compare, root, recipient, not arguments.without_signatures).load()
    repository.held_against(arguments.expect_number, other)
    if arguments.expect_number is None and not other:
        note("Whether newer snapshots were removed (a rollback) could not be excluded: use --expect-number or --compare.")
    return repository


def verify(arguments):
    repository = opened(arguments, arguments.root, None)
    list(repository.all_counted("drills"))
    sheets = {(number, c["share"]) for number, epoch in repository.epochs.items() for c in epoch.content["custodians"]}
    tomorrow = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(days=1)
    for found in repository.all_counted("attestations"):
        if (found.content["epoch"], found.content["share"]) not in sheets or moment(found.content["time"])[0] > tomorrow:
            repository.fault(found.name, "untrusted", "it is of a sheet that no epoch has, or of the future")
    for found in repository.manifests:
        repository.check_files(found)
    for number, epoch in sorted(repository.epochs.items()):
        say("epoch {number}: {threshold} of {total} shares, set {share_set}, root {root}".format(**epoch.content))
    for found in repository.records:
        say(f"record {found.name}: {found.content['kind']}" + "".join(f", halts {what}" for what in found.content["halts"]))
    files = [name for name, _ in repository.seen if name.startswith(("packs/", "indexes/"))]
    say(f"{len(repository.manifests)} snapshots, {len(files)} packs and indexes")
    for source, found in sorted({place(found): found for found in repository.manifests}.items()):
        say(f"newest of {source}: {found.content['snapshot'][:8]}, number {found.content['sequence']}, {found.content['time']}")
    if not arguments.root:
        say("Give --root, from a config or an earlier report, to be sure whose signatures these are; shares bring it along.")
    for fault in repository.faults.values():
        tell, word = (note, "FAULT") if SEVERITY[fault.kind] else (say, "note:")
        tell(f"{word} {fault.file}:{fault.kind}: {fault.detail}")
    sys.exit(max([SEVERITY[fault.kind] for fault in repository.faults.values()], default=0))


def identity_of(sources):
    """The age identity, the root, the recipient, and the shares."""
    key, shares = recovered_key(sources)
    return bech32("age-secret-key-", key).upper(), ssh_public(root_public(key)), bech32("age", x25519_public(key)), shares


def check_register(repository, recipient, shares):
    mine = [epoch.content for epoch in repository.epochs.values() if epoch.content["recipient"] == recipient]
    digests = {custodian["sha256"] for epoch in mine for custodian in epoch["custodians"]}
    for share in shares:
        if share["sha256"] not in digests:
            note(f"{share['origin']} is not in the register of custodians")


def key(arguments):
    identity, root, recipient, shares = identity_of(arguments.share)
    if arguments.repo:
        check_register(Repository(arguments.repo, root, recipient, not arguments.without_signatures), recipient, shares)
    if sys.stdout.isatty():
        stop("the identity opens everything: send it into a pipe, such as | age -d -i - FILE")
    print(identity)


def extract(arguments):
    for program in ("age", "zstd"):
        if not shutil.which(program):
            stop(f"{program} is not installed (Debian: apt install age zstd)")
    if arguments.at and not is_time(arguments.at):
        stop("--at needs a time such as 2026-11-24T05:50:42Z", 2)
    identity, root, recipient, shares = identity_of(arguments.share)
    repository, accepted = opened(arguments, root, recipient), arguments.accept_fault
    check_register(repository, recipient, shares)
    by_id = repository.chosen(arguments.snapshot) if arguments.snapshot not in (None, "latest") else None
    if by_id and arguments.source not in (None, place(by_id), place(by_id).partition(":")[2]):
        stop(f"snapshot {arguments.snapshot} is of {place(by_id)}", 2)
    refuse(repository.in_the_way(by_id), accepted)
    target = by_id or repository.newest_of(arguments.source, arguments.at and moment(arguments.at))
    content = target.content
    note(f"{target.name}: number {content['sequence']} of {content['time']}, {place(target)}")
    if repository.epochs[content["epoch"]].content["recipient"] != recipient:
        stop(f"this snapshot is sealed to the key of epoch {content['epoch']}: use the sheets of that epoch", 5)
    need = repository.check_files(target, False)
    refuse(repository.in_the_way(by_id, need), accepted)
    records = repository.records_of(target, identity)
    leaked = set() if arguments.with_leaked else leaked_of(repository, content["source"], identity)
    packs = {one["sha256"] for one in repository.packs_of(content["packs"])}
    wanted = wanted_of(repository, records, packs, leaked)
    need |= {name_of("packs", digest) for digest in wanted}
    refuse(repository.in_the_way(by_id, need), accepted)
    folders, count = folders_of(records), 0
    for digest, lines in sorted(wanted.items()):
        if repository.usable(name_of("packs", digest)):
            count += deliver_pack(repository, name_of("packs", digest), lines, identity, arguments, folders)
    if arguments.out:
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        write(os.path.join(arguments.out, "records.jsonl"), lines.encode())
    note(f"{count} values of {len(records)} secrets; {content['counts']['values_absent']} versions have no value, "
         f"{content['counts']['values_unreadable']} could not be read when the snapshot was made")
    refuse(repository.in_the_way(by_id, need), accepted)
    if any(SEVERITY[fault.kind] == 6 and fault.file in need for fault in repository.faults.values()):
        note("INCOMPLETE: what an accepted fault hides is left out")
        sys.exit(3)


def leaked_of(repository, source, identity):
    """The versions of a place that tombstones mark as leaked: pairs of the secret's id and the version's."""
    leaked = set()
    for found in repository.records:
        if found.content["kind"] != "tombstone" or "undoes" in found.content:
            continue
        try:
            with tempfile.TemporaryFile() as file:
                file.write(base64.b64decode(found.content["body"]["sealed"], validate=True))
                file.flush()
                marks = json.loads(b"".join(unsealed(file, identity)))["marks"]
            leaked |= {(mark["id"], mark["version"]) for mark in marks if mark["place"] == source}
        except (Bad, KeyError, TypeError, ValueError):
            stop(f"{found.name} marks versions as leaked and does not open with these sheets; --with-leaked writes all", 4)
    return leaked


def wanted_of(repository, records, packs, leaked):
    """The stored values as pack → line → (secret, version)s. A pack that the manifest does not name is a fault."""
    wanted, passed = {}, 0
    for record in records:
        for version in record["versions"]:
            value = version["value"]
            if (record["secret"]["id"], version["id"]) in leaked:
                passed += value["state"] == "stored"
            elif value["state"] == "stored":
                wanted.setdefault(value["pack"], {}).setdefault(value["line"], []).append((record["secret"], version))
    if passed:
        note(f"{passed} versions are marked as leaked and left out: --with-leaked writes them too")
    for digest in set(wanted) - packs:
        repository.fault(name_of("packs", digest), "dangling", "an index names it, and the manifest does not")
        repository.compared("packs", [{"sha256": digest, "size": None}])
    return wanted


def deliver_pack(repository, name, lines, identity, arguments, folders):
    """Writes the values of one pack and counts them. One that is wrong is a fault, and the right ones are written."""
    count, left = 0, set(lines)
    try:
        for number, line in enumerate(repository.folder.lines(name, identity)):
            left.discard(number)
            for secret, version in lines.get(number, ()):
                try:
                    deliver(arguments, folders, secret, version, parsed(line, PACK_LINE))
                    count += 1
                except Bad as bad:
                    repository.fault(name, bad.kind, f"line {number}: {bad.detail}")
        if left:
            raise Bad("dangling", f"it has no line {min(left)}")
    except Bad as bad:
        repository.bad(name, bad)
    return count


def deliver(arguments, folders, secret, version, line):
    kind = version["value"]["kind"]
    if (line["secret"], line["version"]) != (secret["id"], version["id"]) or kind not in line:
        raise Bad("dangling", "it is not the value that the index names")
    try:
        data = line[kind].encode() if kind != "bytes" else base64.b64decode(line[kind], validate=True)
    except ValueError:
        raise Bad("damaged", "it is not base64") from None
    if len(data) != version["value"]["size"]:
        raise Bad("dangling", "its value has another size than the index says")
    if arguments.json:
        print(json.dumps({"name": secret["name"], "secret": secret["id"], "version": version["id"],
                          "current": version.get("current", False), "labels": version["labels"], kind: line[kind]}))
    else:
        write(os.path.join(arguments.out, folders[secret["name"], secret["id"]], file_name(version["id"])), data)


def file_name(name):
    short = quote(name, safe="").replace(".", "%2E") or "%"
    return short if len(short) <= 200 else short[:160] + "~" + sha256(name.encode())[:16]


def folders_of(records):
    """The folder of each secret: its name, and a digest of its id where a file system may take two for one."""
    secrets, taken = [(record["secret"]["name"], record["secret"]["id"]) for record in records], {}
    for name, _ in secrets:
        taken[file_name(name).lower()] = taken.get(file_name(name).lower(), 0) + 1
    ending = lambda name, one: "~" + sha256(f"{name}\0{one}".encode())[:16] if taken[file_name(name).lower()] > 1 else ""
    return {(name, one): file_name(name) + ending(name, one) for name, one in secrets}


def write(path, data):
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        stop(f"{message} (see --help)", 2)


def arguments_of():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("verify")
    one.add_argument("repo")
    one.add_argument("--root", help="the root key to believe, 'ssh-ed25519 AAAA...'")
    one = commands.add_parser("key")
    one.add_argument("share", nargs="+")
    one.add_argument("--repo")
    one = commands.add_parser("extract")
    one.add_argument("repo")
    one.add_argument("--share", nargs="+", required=True)
    one.add_argument("--source", help="ACCOUNT:REGION or PROVIDER:ACCOUNT:REGION, where there are several")
    which = one.add_mutually_exclusive_group()
    which.add_argument("--snapshot", help="the beginning of a snapshot id; the newest by number otherwise")
    which.add_argument("--at", metavar="TIME", help="the newest snapshot taken at or before this time")
    one.add_argument("--with-leaked", action="store_true", help="write versions that are marked as leaked too")
    one.add_argument("--accept-fault", action="append", default=[], metavar="FILE:KIND", help="go on in spite of this fault")
    way = one.add_mutually_exclusive_group(required=True)
    way.add_argument("--json", action="store_true")
    way.add_argument("--out")
    for name, one in commands.choices.items():
        one.add_argument("--without-signatures", action="store_true", help="believe whoever wrote these files")
        if name != "key":
            one.add_argument("--expect-number", type=int, metavar="N", help="the number of the newest snapshot, as you remember it")
            one.add_argument("--compare", metavar="REPO", help="another copy: what it has must be here too")
    return parser.parse_args()


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    arguments = arguments_of()
    try:
        {"verify": verify, "key": key, "extract": extract}[arguments.command](arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(1)
    except KeyboardInterrupt:
        stop("interrupted", 130)
    except OSError as error:
        stop(f"{error.filename or 'a file'}: {error.strerror}")
    except Exception as error:  # never a traceback: it may show a value
        stop(f"this script failed ({type(error).__name__}); nothing is known of the rest. Use another copy, or Lifeboat itself")


if __name__ == "__main__":
    main()
