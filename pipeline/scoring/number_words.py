"""Words that say what a number is to a text: its total, a conclusion, a check of what was said."""

import regex

FLAGS = regex.IGNORECASE | regex.VERSION1
TOTAL = regex.compile(
    r"\b(?:grand\s+total|total|sum|altogether|together|in\s+all|overall|combined|insgesamt|gesamt\w*|zusammen|summe|au\s+total|en\s+tout|somme|"
    r"en\s+total|suma|in\s+totale|totale|somma|no\s+total|ao\s+todo|soma|totaal|всего|итого|в\s+сумме|razem|łącznie|toplam|totalt|"
    r"sammanlagt|tổng(?:\s+cộng)?|συνολικά|المجموع|कुल)\b|一共|总共|總共|合计|合計|共|全部で|총|รวม(?:ทั้งหมด)?",
    FLAGS,
)
POSTPOSED = regex.compile(
    r"[*_]*(?:\s+\p{L}+){0,3}?\s+(?:altogether|in\s+all|in\s+total|overall|insgesamt|zusammen|au\s+total|en\s+tout|en\s+total|in\s+totale|"
    r"no\s+total|ao\s+todo|in\s+totaal|razem|łącznie|totalt|sammanlagt)\b",
    FLAGS,
)
"""The same behind a number and its unit."""
SO = regex.compile(
    r"(?:^|(?<=[.!?]\s))[\s*_]*(?:since|because|as|da|weil|comme|puisque|como|ya\s+que|так\s+как|поскольку)\b[^,\n]*,\s|(?<=[,;]\s|\band\s)then\b|"
    r"\b(?:so(?!\s+(?:far|much|many|that))|thus|therefore|hence|consequently|accordingly|leaving|leaves|totall?ing|finally|in\s+the\s+end|"
    r"(?:which|that|this)\s+(?:makes|means|leaves|gives|is|brings)|that's|making|answer|"
    r"also\s+\p{L}+(?:t|en)\s+(?:er|sie|es|man|wir|noch|insgesamt)|somit|daher|folglich|deshalb|demnach|macht|ergibt|ergeben|donc|ainsi|par\s+conséquent|"
    r"así\s+que|por\s+(?:lo\s+)?tanto|entonces|quindi|dunque|perciò|pertanto|portanto|logo|assim|então|dus|daarom|"
    r"значит|поэтому|следовательно|таким\s+образом|итак|więc|zatem|yani|bu\s+nedenle|dolayısıyla|alltså|således|vậy|vì\s+vậy|do\s+đó|"
    r"άρα|επομένως|οπότε|إذن|لذلك|إذا|وبالتالي|इसलिए|अतः)\b|所以|因此|したがって|ので|だから|よって|따라서|그래서|그러므로|ดังนั้น|จึง|∴|→|⇒|=>",
    FLAGS,
)
CHECK = regex.compile(
    r"(?:^|(?<=[.!?\n(]\s*))[*_\s]*(?:to\s+check|let(?:'s|\s+us|\s+me)\s+(?:check|verify)|check(?:ing)?\b|verif(?:y|ication)|we\s+can\s+(?:check|verify)|probe:|"
    r"vérification|comprobación|проверка|verifica)\b",
    FLAGS,
)
"""Begins a check of the result."""
ABBREVIATION = r"\b(?:approx|ca|no|nr|vs|etc|st|mr|mrs|ms|dr|i\.?e|e\.?g|d\.?\s?h|z\.?\s?b|fig|eq|pp?|incl|max|min|av|avg|ч|т\.?е|р|г)"
SENTENCE_END = regex.compile(rf"(?<!{ABBREVIATION}\.)(?<=[.!?])\s+(?![hB]\.)|[;。！？；।]\s*", FLAGS)
MOOD = regex.compile(
    r"\b(?:would|could|might|if|wäre|wären|würden?|könnten?|wenn|falls|serait|seraient|pourrai(?:t|ent)|sería|serían|podría|sarebbe|potrebbe|"
    r"seria|poderia|zou|бы|если)\b|如果|もし",
    FLAGS,
)
"""What would be, and not what is."""
HYPOTHESIS = regex.compile(
    r"\b(?:if|wenn|falls|si|se|если)\b.*\b(?:would|were|had|wäre\w*|würde\w*|serai\w*|aurai\w*|sería\w*|habría\w*|sarebbe\w*|бы)\b"
    r"|\bwould\b.*\bif\b",
    FLAGS,
)
"""What would be if something else were so."""
LABELLED = regex.compile(
    r"(?:^|[.;,!\n]\s*|\b(?:and|while|whereas|but|so|und|während|et|tandis\s+que|y|mientras\s+que)\s+)[\s*_•-]*"
    r"(?:(?:so|thus|therefore|hence|then),?\s+)?(?:the|its|his|her|their|der|die|das|le|la|l'|el|il)\s+((?:\p{L}+(?:['’]s?)?\s+){0,2}?\p{L}+)"
    r"(?:\s+(?:of|for|des|der|de|du|del)\s+(?:the|a|this|his|her|\d+)?\s*\p{L}+)?\s*[*_]*\s*"
    r"(?:\b(?:is|was|are|were|would\s+be|will\s+be|equals|ist|war|est|es|è)\b|=|:)[\s*_]*"
    r"(?:(?:about|approximately|around|also|then|now|only|thus|therefore)\s+)?[\s*_$€£(\\]*(?=-?\d|[$€£]?\d)",
    FLAGS,
)
"""Says what has the number that follows: `the perimeter is 20`."""
