#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Checks what a compiler does not: format, include arrows, forbidden functions, marks, pages.

    lint.py            every check; one line per finding, status 1 when there is any
    lint.py --unused   only: functions of headers that no program calls from another file

Findings read `file:line: text`, and the text says what to do.  The rules are tables at the top of
each section; what they mean is in the design (arrows) and in the conventions (the rest).
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES_MAX = 800

findings = []


def report(path, line, text):
    findings.append((str(path), line, text))


def tracked(*patterns):
    """Files of the tree that git knows or would add, relative to the root."""
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
                         cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         check=True).stdout.decode()
    return [p for p in sorted(set(out.splitlines())) if (ROOT / p).is_file()]


def tool(name):
    """True when the program is there; a missing one is a finding, never a silent pass."""
    if shutil.which(name):
        return True
    report("tests/tools/lint.py", 1, f"{name} is not installed: run `make packages-check`")
    return False


# --- Text of C files without comments and strings ---------------------------------------------

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The same text with comments and the insides of literals blanked, lines kept."""
    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(blank, text)


# --- Format -----------------------------------------------------------------------------------

def check_format(c_files):
    if not c_files or not tool("clang-format"):
        return
    run = subprocess.run(["clang-format", "--dry-run", "--ferror-limit=1", "-Werror", *c_files],
                         cwd=ROOT, stderr=subprocess.PIPE, check=False)
    for line in run.stderr.decode().splitlines():
        hit = re.match(r"(.+?):(\d+):\d+: error: ", line)
        if hit:
            report(hit[1], int(hit[2]), f"format differs: run clang-format -i {hit[1]}")


# --- Include arrows ---------------------------------------------------------------------------

PROGRAM_FOLDERS = ("maps/mapd", "maps/lookup", "maps/tool", "relay", "milter", "imapsync")

# Within imapsync arrows run down this list (docs/decisions.md says what each is).
SYNC_LAYERS = ("imapsync/imap", "imapsync/ends", "imapsync/journal", "imapsync/plan", "imapsync/stream",
               "imapsync/apply", "imapsync/copy", "imapsync/move", "imapsync/jobs",
               "imapsync")

# A foreign header and the only files that may include it.
ADAPTERS = {
    r"uv\.h": ["base/os/loop.c"],
    r"openssl/.*": ["base/os/tls.c", "base/os/tls_ctx.c", "base/os/tls_parts.h", "base/os/hmac.c"],
    r"ares.*\.h": ["base/os/dns.c"],
    r"db\.h": ["base/os/bdb_parts.h", "base/os/bdb_disk.c"],
    r"libmilter/.*": ["milter/libmilter.c", "milter/serve.c"],
    r"confuse\.h": ["base/core/conf.c"],
    r"gsasl\.h": ["imapsync/imap/sasl.c"],
    r"curl/.*": ["base/os/https.c"],
    r"zlib\.h": ["base/os/gzip.c", "imapsync/imap/compress.c"],
    r"idn2\.h": ["base/mail/idn.c"],
}
# JSON is for writers and for the control socket, never for what handles mail.
JSON_FOLDERS = ("maps/client", "maps/mapd/", "maps/store/", "maps/tool/", "maps/format/",
                "imapsync/")

# Grammar and engines: no socket, clock, file, loop or process in these.
PURE = [r"base/mail/(?!smtp_conn\.c).*\.[ch]", r"maps/(moved|normalise|record|decide[a-z_]*|trace|next_hop)\.c",
        r"maps/format/(csv|lines|mail_log|text)\.[ch]",
        r"relay/(smtp_server|smtp_command|data_codec|cutthrough[a-z_]*)\.c", r"milter/(judge|meaning)\.c",
        r"imapsync/imap/(?!conn|wire|sasl|place|compress)[a-z_]+\.[ch]",
        r"imapsync/ends/(flags|utf7|date|arrival|mailbox|changes|profile)\.[ch]",
        r"imapsync/journal/(journal_record[a-z_]*|pack|canon)\.[ch]", r"imapsync/plan/.*\.[ch]",
        r"imapsync/stream/batches[a-z_]*\.[ch]",
        r"imapsync/jobs/(request|queue)\.[ch]",
        r"imapsync/move/(machine|marks|marks_(counts|pack|uids))\.[ch]"]
PURE_HEADERS = {
    "assert.h", "errno.h", "inttypes.h", "iso646.h", "limits.h", "math.h", "stdalign.h",
    "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "stdnoreturn.h", "string.h",
    "strings.h", "sysexits.h", "idn2.h"}
# Values in, values out: a digest is no input or output.
PURE_ALLOWED = {"base/os/hmac.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def room(path):
    folder = path.rsplit("/", 1)[0] if "/" in path else ""
    for program in PROGRAM_FOLDERS:
        if folder == program or folder.startswith(program + "/"):
            return program
    for low in ("base", "maps", "tests"):
        if folder == low or folder.startswith(low + "/"):
            return low
    return folder


def sync_layer(path):
    folder = path.rsplit("/", 1)[0]
    return SYNC_LAYERS.index(folder) if folder in SYNC_LAYERS else -1


def check_includes(path, text):
    mine = room(path)
    layer = sync_layer(path)
    if mine == "imapsync" and layer < 0:
        report(path, 1, f"{path.rsplit('/', 1)[0]} has no place among the layers of imapsync: "
               "give it one in SYNC_LAYERS")
    pure = any(re.fullmatch(p, path) for p in PURE)
    for hit in INCLUDE.finditer(text):
        line = text.count("\n", 0, hit.start()) + 1
        quote, name = hit.groups()
        if quote == '"':
            theirs = room(name)
            if not (ROOT / name).exists():
                report(path, line, f'"{name}" does not exist from the root of the tree')
            elif mine == "base" and theirs != "base":
                report(path, line, f'base/ includes only base/, not "{name}"')
            elif mine == "maps" and theirs not in ("base", "maps"):
                report(path, line, f'maps/ includes only maps/ and base/, not "{name}"')
            elif mine in PROGRAM_FOLDERS and theirs in PROGRAM_FOLDERS and mine != theirs:
                report(path, line, f"{mine} and {theirs} never include one another: "
                       "what both need goes down to maps/ or base/")
            elif mine != "tests" and theirs == "tests":
                report(path, line, "programs never include tests/")
            elif 0 <= layer < sync_layer(name):
                report(path, line, f"{SYNC_LAYERS[layer]} knows nothing of {name}: "
                       f"arrows run {' < '.join(SYNC_LAYERS)}")
            elif sync_layer(name) == 0 and layer > SYNC_LAYERS.index("imapsync/ends"):
                report(path, line, f'nothing above imapsync/ends knows IMAP: not "{name}"')
            elif pure and name.startswith("base/os/") and name not in PURE_ALLOWED:
                report(path, line, f'{path} is grammar or engine: no "{name}"; '
                       "let an adapter pass the bytes and the time in")
            elif pure and name == "base/core/clock.h":
                report(path, line, f"{path} is grammar or engine: take the time as an argument")
        elif mine != "tests":
            for pattern, homes in ADAPTERS.items():
                if re.fullmatch(pattern, name) and path not in homes:
                    report(path, line, f"<{name}> belongs to {', '.join(homes)}: "
                           "use the small header of that adapter")
            if name == "jansson.h" and not path.startswith(JSON_FOLDERS):
                report(path, line, "<jansson.h> is for the control socket and for --json only")
            if pure and name not in PURE_HEADERS:
                report(path, line, f"{path} is grammar or engine: only ISO C headers, "
                       f"not <{name}>")


# --- Functions --------------------------------------------------------------------------------

FORBIDDEN = {
    "strcpy": "struct buf or memcpy with a known length", "strcat": "struct buf",
    "stpcpy": "struct buf", "strncpy": "struct buf or slice_dup", "strncat": "struct buf",
    "sprintf": "buf_addf or fmt_into", "vsprintf": "buf_vaddf", "gets": "io_read_file",
    "strtok": "slice_split", "strtok_r": "slice_split", "atoi": "num_u32", "atol": "num_u64",
    "atoll": "num_u64", "strtol": "num_u64", "strtoul": "num_u64", "strtoll": "num_u64",
    "strtoull": "num_u64", "sscanf": "num_u64 and slice_split", "alloca": "struct arena",
    "system": "posix_spawn with a vector", "popen": "posix_spawn with a vector",
    "tmpnam": "mkstemp", "mktemp": "mkstemp", "setlocale": "the C locale",
    "isalpha": "ascii_is_alpha", "isdigit": "ascii_is_digit", "isspace": "ascii_is_blank",
    "isprint": "ascii_is_print", "isalnum": "the ascii_ functions", "isupper": "the ascii_ functions",
    "islower": "the ascii_ functions", "isxdigit": "num_hex", "tolower": "ascii_lower",
    "toupper": "ascii_lower", "qsort": "mem_sort", "bsearch": "mem_search",
}
FORBIDDEN_HOMES = {"qsort": "base/core/mem.c", "bsearch": "base/core/mem.c"}
PRINTF_TO_MEMORY = ("snprintf", "vsnprintf")
PRINTF_HOMES = {"base/core/buf.c", "base/core/err.c", "base/core/log.c"}
CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\s*\(")


def check_functions(path, code):
    for hit in CALL.finditer(code):
        name = hit[1]
        line = code.count("\n", 0, hit.start()) + 1
        if name in FORBIDDEN and FORBIDDEN_HOMES.get(name) != path:
            report(path, line, f"{name}() is not used here: take {FORBIDDEN[name]}")
        elif name in PRINTF_TO_MEMORY and path not in PRINTF_HOMES:
            report(path, line, f"{name}() truncates silently: take fmt_into or buf_addf")
    for hit in re.finditer(r"#\s*include\s+<(ctype|locale)\.h>", code):
        report(path, code.count("\n", 0, hit.start()) + 1,
               f"<{hit[1]}.h> follows the locale: use the ascii_ functions of base/core/slice.h")


def check_guard(path, code):
    guard = re.sub(r"[^A-Z0-9]", "_", path.upper())
    if not re.search(rf"^#ifndef {guard}\n#define {guard}$", code, re.M):
        report(path, 1, f"the include guard is {guard}")


DECLARED = re.compile(r"^(?!static|typedef|#)[a-z][\w\s\*]*?\b([a-z_][a-z0-9_]*)\s*\(", re.M)


def check_unused():
    """What a header offers and nobody takes; tests do not count."""
    code = {p: code_only((ROOT / p).read_text(encoding="utf-8"))
            for p in tracked("*.c", "*.h") if not p.startswith("tests/")}
    used_in = {}
    for path, text in code.items():
        for name in set(re.findall(r"\b[a-z_][a-z0-9_]*\b", text)):
            used_in.setdefault(name, set()).add(path)
    for path, text in code.items():
        if not path.endswith(".h"):
            continue
        for hit in DECLARED.finditer(text):
            if hit[1] == "__attribute__":
                continue
            users = used_in[hit[1]] - {path}
            # The definition, and calls beside it, are one file.
            if len(users) < 2 and not re.search(r"\b%s\b" % hit[1], text[hit.end():]):
                report(path, text.count("\n", 0, hit.start(1)) + 1,
                       f"{hit[1]}() is called from no other file: make it static or drop it")


# --- Text -------------------------------------------------------------------------------------

# Spelled in pieces, so that this file does not find itself.
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
CORPUS = "tests/fuzz/corpus/"  # bytes, whatever the name looks like
TEXT_SUFFIXES = (".c", ".h", ".py", ".sh", ".md", ".1", ".5", ".7", ".8", ".conf", ".yml")


def check_text(path, text):
    lines = text.split("\n")
    if text and not text.endswith("\n"):
        report(path, len(lines), "the last line has no newline")
    is_c = path.endswith((".c", ".h"))
    if is_c:
        if lines[0] != "/* SPDX-License-Identifier: ISC */":
            report(path, 1, "the first line is /* SPDX-License-Identifier: ISC */")
    elif (path.endswith((".py", ".sh")) and text) or path == "Makefile":
        if not any("SPDX-License-Identifier: ISC" in line for line in lines[:4]):
            report(path, 1, "one of the first lines is # SPDX-License-Identifier: ISC")
    if len(lines) - 1 > LINES_MAX and path.endswith((".c", ".h", ".py")):
        report(path, LINES_MAX, f"{len(lines) - 1} lines: find the seam and split the file")
    for number, line in enumerate(lines, 1):
        if MARKS.search(line):
            report(path, number, "a mark is left: do it now, or write it down in an issue")
        if line != line.rstrip():
            report(path, number, "blanks at the end of the line")
        if "\t" in line and is_c:
            report(path, number, "a tab: indent with blanks")


def check_python(path, text):
    try:
        compile(text, path, "exec")
    except SyntaxError as error:
        report(path, error.lineno or 1, f"does not compile: {error.msg}")


# --- The table of settings and its manual page --------------------------------------------------

SCHEMA, SCHEMA_PAGE = "base/core/schema.c", "docs/man/coexist.conf.5"
SCHEMA_ROW = re.compile(r'^    (TOP|DOMAIN|SERVER|RELAY|MILTER|LOOKUP|MAPD|SYNC)\("(\w+)", \w+, (\w+), '
                        r'(NULL|"[^"]*"), (NO_RANGE|RANGE\((.+?), (.+?)\)|CHOICES\((.+)\))\),$')
UNITS = {
    "DURATION": [("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000), ("ms", 1)],
    "BYTES": [("G", 1 << 30), ("M", 1 << 20), ("k", 1 << 10), ("", 1)],
    "NUMBER": [("", 1)],
}
CONSTANTS = {"SECOND": 1000, "MINUTE": 60000, "HOUR": 3600000, "DAY": 86400000,
             "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
KINDS = {"TEXT": "Text", "PATH": "Path", "HOST": "Host name or address", "PRINT": "Fingerprint",
         "ENDPOINT": "Endpoint", "ENDPOINTS": "List of endpoints", "RANGES": "List of ranges", "NAMES": "List of names",
         "SERVER_REF": "Server", "NUMBER": "Number", "DURATION": "Time", "BYTES": "Size"}


class Row:
    """One setting, and the sentence by which its item in the page has to begin."""

    def __init__(self, line, hit, words):
        section, self.name, self.type, text, _, low, high, choices = hit.groups()
        self.line = line
        self.section = "" if section == "TOP" else section.lower()
        self.default = None if text == "NULL" else text.strip('"')
        self.range = (self.number(low), self.number(high)) if low else None
        self.choices = re.findall(r'"([^"]+)"', words.get(choices, choices or ""))

    @staticmethod
    def number(text):
        value = 1
        for factor in text.split(" * "):
            value *= CONSTANTS[factor] if factor in CONSTANTS else int(factor)
        return value

    def quantity(self, value):
        for unit, factor in UNITS[self.type]:
            if factor == 1 or (value and value % factor == 0):
                return f"{value // factor}{unit}"

    def phrase(self):
        kind = KINDS.get(self.type)
        if self.range:
            kind += f" from {self.quantity(self.range[0])} to {self.quantity(self.range[1])}"
        elif kind is None:
            kind = " or ".join(filter(None, [", ".join(self.choices[:-1]), self.choices[-1]]))
        elif self.choices and self.type != "SERVER_REF":
            kind += " (" + ", ".join(self.choices) + ")"
        return f"{kind}; " + ("no default." if self.default is None else f"default {self.default}.")


def schema_rows(text):
    words = dict(re.findall(r"#define (\w+) (WORDS\(.*\))", text))
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        hit = SCHEMA_ROW.match(line)
        if hit:
            rows.append(Row(number, hit, words))
        elif re.match(r"    [A-Z]+\(\"", line):
            report(SCHEMA, number, "one row is one line in the form of its neighbours")
    return rows


def check_schema_page():
    if not (ROOT / SCHEMA).exists() or not (ROOT / SCHEMA_PAGE).exists():
        report(SCHEMA, 1, f"{SCHEMA} and {SCHEMA_PAGE} go together; one is missing")
        return
    items, section = {}, None
    lines = (ROOT / SCHEMA_PAGE).read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if line.startswith((".Sh ", ".Ss ")):
            section = line[4:].strip()
            section = "" if section == "Outside of sections" else section
        elif line.startswith(".It Ic "):
            items[section, line[7:].strip()] = (number + 1, lines[number])
    rows = schema_rows((ROOT / SCHEMA).read_text(encoding="utf-8"))
    for row in rows:
        number, said = items.pop((row.section, row.name), (None, None))
        if number is None:
            report(SCHEMA, row.line, f"{row.section} {row.name} has no item in {SCHEMA_PAGE}: add "
                   f'".It Ic {row.name}" and "{row.phrase()}"'.strip())
        elif said != row.phrase():
            report(SCHEMA_PAGE, number, f'the table says "{row.phrase()}"')
    for (section, name), (number, _) in items.items():
        report(SCHEMA_PAGE, number - 1, f"{section} {name} is not in {SCHEMA}".replace("  ", " "))


# --- Events of the log and the manual pages ------------------------------------------------------

# Whose page tells of the lines that a file writes; the first prefix that fits counts.
EVENT_PAGES = (("relay/", "coexist-relay"), ("base/mail/smtp_conn", "coexist-relay"),
               ("maps/claims.c", "coexist-relay"), ("milter/", "coexist-milter"),
               ("maps/lookup/", "coexist-lookup"), ("maps/tool/", None),  # for a terminal
               ("maps/", "coexist-mapd"), ("base/os/bdb", "coexist-mapd"),
               ("imapsync/", "coexist-sync"))
EVENT = re.compile(r'\blog_(?:error|warn|info|at)\(\s*(?:[^,"]*,\s*)?"([a-z_]+)"')


def check_events(path, text):
    page = next((page for prefix, page in EVENT_PAGES if path.startswith(prefix)), None)
    if page is None or not path.endswith(".c"):
        return
    told = (ROOT / f"docs/man/{page}.8").read_text(encoding="utf-8")
    for hit in EVENT.finditer(text):
        if not re.search(rf"^\.It (?:.* )?{hit[1]}(?: |$)", told, re.M):
            report(path, text.count("\n", 0, hit.start(1)) + 1,
                   f"{page}(8) does not tell of event {hit[1]}")


# --- The page about ends ---------------------------------------------------------------------------

ENDS, ENDS_PAGE = "imapsync/ends/end.h", "docs/ends.md"


def check_ends_page():
    """Each slot, and each thing that an end can do, is told on the page by which ends are written."""
    text = code_only((ROOT / ENDS).read_text(encoding="utf-8"))
    page = (ROOT / ENDS_PAGE).read_text(encoding="utf-8")
    slots = re.search(r"^struct end_ops \{\n(.*?)^\};", text, re.M | re.S)
    for hit in re.finditer(r"\(\*(\w+)\)\(", slots[1]):
        if f"`{hit[1]}()`" not in page:
            report(ENDS_PAGE, 1, f"does not tell of the slot {hit[1]}() of {ENDS}")
    for name in re.findall(r"\bEND_CAN_\w+", text):
        if f"`{name}`" not in page:
            report(ENDS_PAGE, 1, f"does not tell of {name} of {ENDS}")


# --- Other tools ------------------------------------------------------------------------------

def check_pages(pages):
    if not pages or not tool("mandoc"):
        return
    run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], cwd=ROOT,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    for line in run.stdout.decode().splitlines():
        hit = re.match(r"mandoc: (.+?):(\d+):\d+: (.*)", line)
        if hit:
            report(hit[1], int(hit[2]), hit[3])
        elif line.strip():
            report("docs/man", 1, line)
    ours = {pathlib.Path(p).stem: pathlib.Path(p).suffix[1:] for p in pages}
    for page in pages:
        for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
            hit = re.match(r"\.Xr (\S+) (\d)", line)
            if hit and (hit[1].startswith("coexist") or hit[1] in ours) and ours.get(hit[1]) != hit[2]:
                report(page, number, f"there is no page {hit[1]}({hit[2]})")


def check_cppcheck(c_files):
    sources = [p for p in c_files if p.endswith(".c") and not p.startswith("tests/")]
    if not sources or not tool("cppcheck"):
        return
    cache = ROOT / "build/cppcheck"
    cache.mkdir(parents=True, exist_ok=True)
    run = subprocess.run(
        ["cppcheck", "-q", "-j2", "--std=c11", f"--cppcheck-build-dir={cache}", "-I.",
         "-D_GNU_SOURCE", '-DCOEXIST_VERSION="0"', "-D__GNUC__", "--inline-suppr",
         "--enable=warning,performance,portability", "--suppress=missingInclude",
         "--suppress=missingIncludeSystem", "--suppress=normalCheckLevelMaxBranches",
         "--template={file}:{line}: {id}: {message}", *sources],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    for line in run.stdout.decode().splitlines():
        hit = re.match(r"(.+?):(\d+): (.*)", line)
        if hit:
            report(hit[1], int(hit[2]), "cppcheck: " + hit[3])


def check_all(c_files):
    for path in tracked():
        if not (path.endswith(TEXT_SUFFIXES) or path == "Makefile") or path.startswith(CORPUS):
            continue
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            report(path, 1, f"is not UTF-8: {error.reason}")
            continue
        check_text(path, text)
        if path.endswith((".c", ".h")):
            code = code_only(text)
            check_includes(path, text)
            check_functions(path, code)
            check_events(path, text)
            if path.endswith(".h"):
                check_guard(path, code)
        elif path.endswith(".py"):
            check_python(path, text)
    check_format(c_files)
    check_pages([p for p in tracked("docs/man/*") if p.endswith((".1", ".5", ".7", ".8"))])
    check_schema_page()
    check_ends_page()
    check_cppcheck(c_files)


def main():
    c_files = tracked("*.c", "*.h")
    if sys.argv[1:] == ["--unused"]:
        check_unused()
    else:
        check_all(c_files)
    for path, line, text in sorted(set(findings)):
        print(f"{path}:{line}: {text}")
    print(f"lint: {len(c_files)} C files, {len(set(findings))} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
