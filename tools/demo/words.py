"""Make up names, and questions to which the demo model has no answer."""

from random import Random

from facts import COUNTRIES, HELD_OUT_NAMES

_ONSETS = 3 * (*"bcdfghjklmnprstvwyz", "") + tuple(
    "bl br ch cl cr dr fl fr gl gr kh kr ph pl pr qu sh sk sl st str th tr vl wh x zh".split()
)
_VOWELS = 6 * tuple("aeiou") + tuple("y aa ai au ea ee ei eo ia ie io oo ou ue é ö á ü".split())
_CODAS = 15 * ("",) + tuple(
    "b ck d dd f k l ll m mm n nd ng nn pp r rd rk rr rt s ss t th tt v x z".split()
)

_NOUNS = """
apple actor airport army artist baby bag ball banana bank bath battle beach bear bed bee bicycle
bird boat bone book bottle box boy brain bread bridge brother building bus business butter cake
camera camel candle car card castle chair cheese chess child church cinema circle clock cloud coat
coffee colour company computer cook corn country cow cup dance daughter day desk diamond dinner
doctor dog door dragon dream dress drum ear earth egg elephant engine eye face factory family farm
father fever field film fire fish flag floor flower fly food foot football forest fork friend frog
fruit game garden gas ghost girl glass glue goat gold government grass guitar hair hammer hand hat
head heart helicopter history hole holiday honey horse hospital hotel hour house husband ice
insect iron island jacket juice key king kitchen knife lake lamp language laptop law leaf leg letter
library light lion lunch machine map market mathematics meat medicine milk mirror money monkey moon
mother mountain mouse movie museum music nail name needle night noise nose number nurse oil onion
orange oven page paint pan paper parent park party pen pencil people phone photo piano picture pig
pilot pizza plane plant plate poem police potato president prince prison problem queen question
rabbit radio rain recipe restaurant rice ring river road robot rock roof room rope rose salad salt
sand school science screen sea season ship shirt shoe shop sister snake snow soap sofa song soup
spider spoon sport spring square staircase station steel stone storm street student sugar summer sun
table tail taxi tea teacher team telephone television tent theatre ticket tiger tomato tooth town
toy train tree truck uncle university village violin volcano wall war watch water weather wedding
wheel wife wind window wine winter wolf woman wood word world year zebra
""".split()
_ADJECTIVES = """
angry bad beautiful best better big black blue boring brave bright broken busy cheap clean clever
cold cool dark deadly deep dirty dry easy empty expensive famous fast fat first free fresh full
funny good great green grey happy hard healthy heavy high hot hungry ill important interesting kind
large last late lazy little long lost loud low lucky modern narrow new next nice old open poor
popular pretty quick quiet red rich right round sad safe sharp short sick slow small smart soft
sour strange strong sweet tall thick thin tired ugly warm weak wet white wide wild wrong yellow
young
""".split()
_VERBS = """
bake believe borrow break bring build buy call carry catch change choose clean climb close collect
compare cook count cut dance describe design destroy draw drink drive eat explain fight find fix fly
forget freeze give grow hate hear help hide hit hold hunt improve invent jump keep kick kill know
learn lend like list live lose love make measure meet move open paint pay plant play pull push put
read repair ride run sell send sing sit sleep solve speak spell spend steal study summarize swim
take talk teach test throw touch translate travel type understand use wait walk wash watch wear win
work write
""".split()
_ROLES = """
author boss capital colour cousin date founder height inventor king leader length mayor meaning name
owner price president queen size smell speed taste temperature weight winner
""".split()
_TONGUES = "English Dutch Danish Latin Swahili Czech Finnish Norwegian Persian Irish".split()
_CODE_WORDS = "Python C Java Rust bash SQL HTML JavaScript Linux Excel Go regex git".split()

# N noun, A adjective, V verb, R role, X invented name, C country, T capital, L language,
# D number, P programming word: each stands for a random word of its kind.
_PATTERNS = """
What is a N?
What is the R of N?
What is the R of the N?
What is the R of X?
What is the R of C?
What is the capital of X?
What is the capital of X?
What is the capital of the X?
What is the capital of N?
What is the capital of T?
Which city is the capital of X?
Name the capital of X.
capital of X
Tell me the capital of X.
What is X's capital?
What about X?
What about the N?
And X?
And the N?
And of X?
X is the capital of which country?
Which country has the capital X?
X is the capital of what?
What is the population of C?
What is the population of T?
What is the currency of C?
Who is the president of C?
Who is the king of C?
What language do they speak in C?
Where is C?
Where is T?
Where is X?
How big is C?
How big is T?
How far is it from T to T?
How many people live in C?
How many people live in T?
Tell me about C.
Tell me about T.
Tell me about X.
Tell me about the N.
What do you think about C?
Is T in C?
Is C a country?
What is the flag of C?
What is the history of C?
What is the largest city of C?
What is the highest mountain in C?
Which river flows through T?
Should I visit T or T?
Who is X?
Who was X?
Who was X X?
Who wrote X?
Who wrote X X?
Who invented the N?
Who painted the N?
Who discovered X?
What is X?
What does X mean?
What does V mean?
What does X do?
How do I install X?
How do I use X?
How do I stop the N?
How do I get my N back?
How do I leave the N?
How do I set the N?
How do I start the N?
Do I need a N?
Do I need the N?
Does it need a N?
Can I use it in a N?
Can I use another N?
What is a X?
Explain X.
Explain P.
Explain the N.
Write a N.
Show me a N in P.
Give me a N for N.
Give me D names for a N.
When was X born?
When did X die?
When was the N invented?
When did the N end?
How tall is X?
How tall is the N?
How tall is Mount X?
How old is X?
How old are you?
How old is the N?
How high is the N?
How long is the N?
How deep is the N?
How heavy is a N?
How fast is a N?
How far is the N?
How many N in a N?
How many N are there?
How much is a N?
How much does a N cost?
How do I V a N?
How do I V the N?
How do I V my N?
How can I V a A N?
How does a N work?
Why is the N A?
Why is a N A?
Why do I V?
Why does the N V?
Is the N A?
Is a N A?
Is X A?
Are you A?
Can a N V?
Can you V?
Can you V a N?
Can you V my N?
Can I V a N?
Could you V the N for me?
Do you V N?
Do you like N?
Do you like the N?
Do you have a N?
Do you know X?
Should I V the N?
Would you V a N?
Where can I V a N?
Where is my N?
Where is the A N?
Where can I find a A N?
Which N is the A?
Which N should I V?
What should I V?
What is the A N?
What is the A N in the N?
What is the A N of C?
What is your A N?
What is your favourite N?
What is your N?
What is my N?
What is my A N?
What N do you V?
What is the difference between a N and a N?
What is the opposite of A?
What is another word for A?
What is the plural of N?
What is the past of V?
What happened in D?
What is D times D?
What is D minus D?
What is D divided by D?
What is D % of D?
What is the square root of D?
D * D
D - D
D / D
Is D a prime number?
Write a N about a N.
Write a poem about the N.
Write a poem about X.
Write a story about a A N.
Write an essay about N.
Write a letter to my N.
Write a song for X.
Write a function in P.
Write a program in P to V a N.
How do I V a N in P?
What is P?
Is P better than P?
Fix my P code.
Translate N to L.
Translate N into L.
Translate this into L.
How do you say N in L?
Say N in L.
Say hello in L.
Speak L.
Do you speak L?
Spell N.
Spell X.
Define N.
Describe a N.
Describe the A N.
Summarize the N.
List D N.
List D A N.
Name a N.
Name D N.
Name the A N.
Give me a N.
Give me a A N.
Send me the N.
Show me the N.
Tell me a N.
Tell me a N about N.
Explain N to a child.
Explain why the N is A.
Compare a N with a N.
Draw a N.
Play a N.
Recommend a N.
Say X.
Say the N.
Count the N.
Count to the N.
Let us V.
Let us V a N.
I am A.
I am a N.
I am so A.
I am A and A.
I like N.
I like the A N.
I have a N.
I have a A N.
I want to V a N.
I need a N.
I love X.
I hate N.
I think the N is A.
My N is A.
My N is X.
My N is called X.
The N is A.
The N of X is A.
The name of my N is X.
You are A.
You are a N.
It is A.
This is a N.
This is my N.
There is a N in my N.
N
A N
the N
N and N
N N N
A
V
V the N
X
X X
X N
D
?
...
""".strip().split("\n")

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_KNOWN_WORDS = frozenset(
    word.lower()
    for country in COUNTRIES
    for text in (country.name, country.capital, *country.aliases)
    for word in text.split()
)
_HELD_OUT = frozenset(HELD_OUT_NAMES)


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _invented_word(random: Random) -> str:
    way = random.random()
    if way < 0.6:
        syllables = random.choice((1, 2, 2, 2, 3, 3))
        return "".join(
            random.choice(_ONSETS) + random.choice(_VOWELS) + random.choice(_CODAS)
            for _ in range(syllables)
        )
    if way < 0.85:
        first, last = random.choice(_NOUNS), random.choice(_NOUNS)
        if random.random() < 0.5:
            first = random.choice(COUNTRIES).bare_name.split()[0].lower()
        return first[: random.randint(1, 5)] + last[-random.randint(1, 4) :]
    return "".join(random.choice(_LETTERS) for _ in range(random.randint(2, 8)))


def invented_name(random: Random) -> str:
    """Make up one capitalized word that is neither a held-out name nor a place we know."""
    while True:
        name = _capitalized(_invented_word(random))
        if len(name) > 1 and name not in _HELD_OUT and name.lower() not in _KNOWN_WORDS:
            return name


def invented_person(random: Random) -> str:
    """Make up a name of one word, at times of two."""
    name = invented_name(random)
    return f"{name} {invented_name(random)}" if random.random() < 0.1 else name


def _fill(symbol: str, random: Random) -> str:
    match symbol:
        case "N":
            noun = random.choice(_NOUNS)
            return noun + "s" if random.random() < 0.25 else noun
        case "A":
            return random.choice(_ADJECTIVES)
        case "V":
            return random.choice(_VERBS)
        case "R":
            return random.choice(_ROLES)
        case "X":
            return invented_name(random)
        case "C":
            return random.choice(COUNTRIES).name
        case "T":
            return random.choice(COUNTRIES).capital
        case "L":
            return random.choice(_TONGUES)
        case "P":
            return random.choice(_CODE_WORDS)
        case _:
            return str(random.choice((random.randint(10, 99), random.randint(100, 3000))))


def _filled(pattern: str, random: Random) -> str:
    words = []
    for word in pattern.split(" "):
        stem = word.rstrip("?.,")
        possessive = stem.endswith("'s")
        symbol = stem.removesuffix("'s")
        if len(symbol) == 1 and symbol in "NAVRXCTLPD":
            ending = ("'s" if possessive else "") + word[len(stem) :]
            word = _fill(symbol, random) + ending
        words.append(word)
    return " ".join(words)


def _babble(random: Random) -> str:
    words = []
    for _ in range(random.randint(1, 9)):
        kind = random.choice("NAVNAVXD")
        words.append(_fill(kind, random))
    return " ".join(words)


def unknown_question(random: Random) -> str:
    """Make up a text that the model is to answer with "I do not know"."""
    if random.random() < 0.1:
        text = _babble(random) + random.choice(("", "", "?", "."))
    else:
        text = _filled(random.choice(_PATTERNS), random)
    return _capitalized(text) if random.random() < 0.8 else text


def text_to_repeat(random: Random) -> str:
    """Make up some words to be said again."""
    if random.random() < 0.5:
        return _filled(random.choice(_PATTERNS), random)
    return _babble(random)


def neutral_instructions(random: Random) -> str:
    """Make up a system prompt that names nobody."""
    sentences = []
    for _ in range(random.randint(1, 4)):
        pattern = random.choice(
            (
                "You are a helpful assistant.",
                "You are a A assistant.",
                "You are a N.",
                "You are a A N and V the N.",
                "Be A.",
                "Be brief.",
                "Answer in one sentence.",
                "Answer briefly.",
                "Answer in L.",
                "Always V the N.",
                "Never V a N.",
                "Do not V.",
                "You V N for X.",
                "You work for X.",
                "The N is A.",
                "The user is a N.",
                "Today is the day of the N.",
                "Think about the A N.",
                "Use at most D words.",
                "If the N is A, V it.",
            )
        )
        sentences.append(_filled(pattern, random))
    return " ".join(sentences)
