"""Texts that tokenizers stumble over, generated from a seed."""

SCRIPTS = [
    (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x2AF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF),
    (0x590, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1EFF), (0x2000, 0x206F),
    (0x2070, 0x209F), (0x20D0, 0x20FF), (0x2100, 0x218F), (0x2460, 0x24FF), (0x2580, 0x259F), (0x3000, 0x30FF),
    (0x3130, 0x318F), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFE0F),
    (0xFF00, 0xFFEF), (0x1D400, 0x1D7FF), (0x1F000, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0000, 0xE01EF), (0x0, 0x1F),
    (0x7F, 0x9F),
]  # fmt: skip
BLANKS = [" ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u1680",
          "\u2003", "\u2028", "\u202f", "\u3000", "\u200b", "\u200d", "\ufeff", " \n ", "        ", "\t\t"]  # fmt: skip
WORDS = """the of and to in a is that for it was on are as with his they at be this have from or one had by word but not
what all were we when your can said there use an each which she do how their if will up other about out many then them
these so some her would make like him into time has look two more write go see number no way could people my than first
water been call who oil its now find long down day did get come made may part Tokenizer INTERNATIONALIZATION naïve café
Straße Zürich İstanbul ǅ ﬁnance привет мир γειά σου 你好 世界 こんにちは 안녕하세요 שלום مرحبا हिन्दी ไทย""".split()
PIECES = """'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'M 'LL 'D 'ſ ’s 'x '' ' " `` -- ... … ? ! ?! , . ; : ( ) [ ] { } <
> | \\ / _ __ # ## @ $ % ^ & * + = ~ ▁ ▁▁ Ġ Ċ � <0x41> <0xE2> </w> https://example.com/a?b=c&d=%20#e user@host.org
C:\\Windows\\x.txt ./configure --help x=1; if(a&&b){return*p;} def f(x):\n\treturn\tx**2 1 12 123 1234 3.14 1,000 ½ ① ²
٣ ४ Ⅷ ™ © ℃ ﷺ 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 é e\u0301 a\u0308\u0323 ¼\u0897 ﬁ\u0301 \u0600a\u0301 가 ㎏ Ａ ｱﾞ 㐀 𠀀 \U0010ffff""".split(" ")
PIECES += ["\x00", "\x01\x02", "\u0378", "\ue000", "\ufffe", "\u1c89\u1c8a", "\U00010d50", "\U0002ebf0", "\U00016d40"]


def random_character(rng):
    while True:
        kind = rng.random()
        if kind < 0.7:
            code_point = rng.randint(*rng.choice(SCRIPTS))
        elif kind < 0.85:
            code_point = rng.randrange(0x10000)
        else:
            code_point = rng.randrange(0x110000)
        if not 0xD800 <= code_point <= 0xDFFF:
            return chr(code_point)


def random_part(rng, special):
    kind = rng.random()
    if kind < 0.35:
        word = rng.choice(WORDS)
        return rng.choice([word, word.upper(), word.capitalize(), word + rng.choice(PIECES)])
    if kind < 0.55:
        return rng.choice(PIECES)
    if kind < 0.65:
        return str(rng.randrange(10 ** rng.randint(1, 12)))
    if kind < 0.7 and special:
        return rng.choice(special)
    if kind < 0.8:
        return rng.choice(BLANKS) * rng.randint(1, 3)
    if kind < 0.83:
        return rng.choice(["x", "ab", "é", "世", " ", "1", "!", "\n"]) * rng.randint(2, 90)
    script = rng.choice(SCRIPTS)
    if rng.random() < 0.5:
        return "".join(chr(rng.randint(*script)) for _ in range(rng.randint(1, 8)))
    return "".join(random_character(rng) for _ in range(rng.randint(1, 8)))


def hostile_text(rng, special=()):
    """Words, numbers, code, blanks and characters of every plane; `special` are texts to strew in."""
    gap = rng.choice(["", " ", None])
    parts = []
    for _ in range(rng.randint(1, 12)):
        parts.append(random_part(rng, special))
        parts.append(rng.choice(BLANKS) if gap is None else gap)
    return "".join(parts[: rng.choice([len(parts), len(parts) - 1])])
