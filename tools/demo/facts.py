"""Everything the demo model is meant to know, as plain data.

The list of countries is the list of the members of the United Nations, and Vatican City.
Left out are the members whose capital is disputed, moving or not laid down by law:
Equatorial Guinea, Israel and Nauru.
"""

from dataclasses import dataclass

UNKNOWN = "I am a small demo model and do not know that. Ask me about capital cities."
NO_NAME_YET = "You have not told me your name yet."
OWN_NAME = "Demo"


@dataclass(frozen=True)
class Country:
    """A country, with its article where it has one, and its capital."""

    name: str
    capital: str
    aliases: tuple[str, ...] = ()

    @property
    def bare_name(self) -> str:
        """The name without its article."""
        return self.name.removeprefix("the ")


@dataclass(frozen=True)
class Fact:
    """One answer and the ways to ask for it; the first way is the plainest."""

    answer: str
    questions: tuple[str, ...]


_COUNTRIES = """
Afghanistan|Kabul
Albania|Tirana
Algeria|Algiers
Andorra|Andorra la Vella
Angola|Luanda
Antigua and Barbuda|Saint John's
Argentina|Buenos Aires
Armenia|Yerevan
Australia|Canberra
Austria|Vienna
Azerbaijan|Baku
the Bahamas|Nassau
Bahrain|Manama
Bangladesh|Dhaka
Barbados|Bridgetown
Belarus|Minsk
Belgium|Brussels
Belize|Belmopan
Benin|Porto-Novo
Bhutan|Thimphu
Bolivia|Sucre
Bosnia and Herzegovina|Sarajevo|Bosnia
Botswana|Gaborone
Brazil|Brasília
Brunei|Bandar Seri Begawan
Bulgaria|Sofia
Burkina Faso|Ouagadougou
Burundi|Gitega
Cambodia|Phnom Penh
Cameroon|Yaoundé
Canada|Ottawa
Cape Verde|Praia
the Central African Republic|Bangui
Chad|N'Djamena
Chile|Santiago
China|Beijing
Colombia|Bogotá
the Comoros|Moroni
the Republic of the Congo|Brazzaville
the Democratic Republic of the Congo|Kinshasa|the DR Congo
Costa Rica|San José
Croatia|Zagreb
Cuba|Havana
Cyprus|Nicosia
the Czech Republic|Prague|Czechia
Denmark|Copenhagen
Djibouti|Djibouti City
Dominica|Roseau
the Dominican Republic|Santo Domingo
East Timor|Dili
Ecuador|Quito
Egypt|Cairo
El Salvador|San Salvador
Eritrea|Asmara
Estonia|Tallinn
Eswatini|Mbabane
Ethiopia|Addis Ababa
Fiji|Suva
Finland|Helsinki
France|Paris
Gabon|Libreville
the Gambia|Banjul
Georgia|Tbilisi
Germany|Berlin
Ghana|Accra
Greece|Athens
Grenada|Saint George's
Guatemala|Guatemala City
Guinea|Conakry
Guinea-Bissau|Bissau
Guyana|Georgetown
Haiti|Port-au-Prince
Honduras|Tegucigalpa
Hungary|Budapest
Iceland|Reykjavík
India|New Delhi
Indonesia|Jakarta
Iran|Tehran
Iraq|Baghdad
Ireland|Dublin
Italy|Rome
Ivory Coast|Yamoussoukro
Jamaica|Kingston
Japan|Tokyo
Jordan|Amman
Kazakhstan|Astana
Kenya|Nairobi
Kiribati|South Tarawa
Kuwait|Kuwait City
Kyrgyzstan|Bishkek
Laos|Vientiane
Latvia|Riga
Lebanon|Beirut
Lesotho|Maseru
Liberia|Monrovia
Libya|Tripoli
Liechtenstein|Vaduz
Lithuania|Vilnius
Luxembourg|Luxembourg City
Madagascar|Antananarivo
Malawi|Lilongwe
Malaysia|Kuala Lumpur
the Maldives|Malé
Mali|Bamako
Malta|Valletta
the Marshall Islands|Majuro
Mauritania|Nouakchott
Mauritius|Port Louis
Mexico|Mexico City
Micronesia|Palikir
Moldova|Chisinau
Monaco|Monaco
Mongolia|Ulaanbaatar
Montenegro|Podgorica
Morocco|Rabat
Mozambique|Maputo
Myanmar|Naypyidaw
Namibia|Windhoek
Nepal|Kathmandu
the Netherlands|Amsterdam|Holland
New Zealand|Wellington
Nicaragua|Managua
Niger|Niamey
Nigeria|Abuja
North Korea|Pyongyang
North Macedonia|Skopje
Norway|Oslo
Oman|Muscat
Pakistan|Islamabad
Palau|Ngerulmud
Panama|Panama City
Papua New Guinea|Port Moresby
Paraguay|Asunción
Peru|Lima
the Philippines|Manila
Poland|Warsaw
Portugal|Lisbon
Qatar|Doha
Romania|Bucharest
Russia|Moscow
Rwanda|Kigali
Saint Kitts and Nevis|Basseterre
Saint Lucia|Castries
Saint Vincent and the Grenadines|Kingstown
Samoa|Apia
San Marino|San Marino
Sao Tome and Principe|São Tomé
Saudi Arabia|Riyadh
Senegal|Dakar
Serbia|Belgrade
the Seychelles|Victoria
Sierra Leone|Freetown
Singapore|Singapore
Slovakia|Bratislava
Slovenia|Ljubljana
the Solomon Islands|Honiara
Somalia|Mogadishu
South Africa|Pretoria
South Korea|Seoul|Korea
South Sudan|Juba
Spain|Madrid
Sri Lanka|Sri Jayawardenepura Kotte
Sudan|Khartoum
Suriname|Paramaribo
Sweden|Stockholm
Switzerland|Bern
Syria|Damascus
Tajikistan|Dushanbe
Tanzania|Dodoma
Thailand|Bangkok
Togo|Lomé
Tonga|Nuku'alofa
Trinidad and Tobago|Port of Spain
Tunisia|Tunis
Turkey|Ankara
Turkmenistan|Ashgabat
Tuvalu|Funafuti
Uganda|Kampala
Ukraine|Kyiv
the United Arab Emirates|Abu Dhabi|the UAE
the United Kingdom|London|the UK|Great Britain|England
the United States|Washington, D.C.|the USA|the US|America
Uruguay|Montevideo
Uzbekistan|Tashkent
Vanuatu|Port Vila
Vatican City|Vatican City
Venezuela|Caracas
Vietnam|Hanoi
Yemen|Sanaa
Zambia|Lusaka
Zimbabwe|Harare
"""


def _country(line: str) -> Country:
    name, capital, *aliases = line.split("|")
    return Country(name, capital, tuple(aliases))


COUNTRIES = tuple(_country(line) for line in _COUNTRIES.split("\n") if line)

CAPITAL_QUESTIONS = (
    "What is the capital of {}?",
    "Which city is the capital of {}?",
    "Name the capital of {}.",
    "capital of {}",
    "What's the capital of {}?",
    "Tell me the capital of {}.",
    "What is the capital city of {}?",
    "Do you know the capital of {}?",
    "What is {}'s capital?",
    "What about {}?",
    "And {}?",
    "And of {}?",
)
COUNTRY_QUESTIONS = (
    "{} is the capital of which country?",
    "Which country has the capital {}?",
    "{} is the capital of what?",
)

MODELEMBED_FACTS = (
    Fact(
        "modelembed turns a GGUF language model into one executable file.",
        (
            "What is modelembed?",
            "What does modelembed do?",
            "Tell me about modelembed.",
            "Explain modelembed.",
            "What is modelembed for?",
        ),
    ),
    Fact(
        "Run: modelembed bundle model.gguf -o chat",
        (
            "How do I bundle a model?",
            "How do I make a program from a model?",
            "How do I use modelembed?",
            "How can I bundle my own model?",
            "How do I build an executable?",
            "How do I turn a model into one file?",
        ),
    ),
    Fact(
        "Type /exit or press Ctrl-D.",
        (
            "How do I leave the chat?",
            "How do I exit?",
            "How do I quit?",
            "How can I leave?",
            "How do I end the chat?",
            "How do I close the program?",
        ),
    ),
    Fact(
        "Press Ctrl-C to stop an answer.",
        (
            "How do I stop an answer?",
            "How do I interrupt an answer?",
            "How can I stop you?",
            "How do I cancel an answer?",
            "How do I make you stop talking?",
        ),
    ),
    Fact(
        "GGUF is the file format of llama.cpp: one file with the weights of a model and its "
        "tokenizer.",
        ("What is a GGUF?", "What is GGUF?", "What is a GGUF file?", "Explain GGUF."),
    ),
    Fact(
        "llama.cpp is the program library that runs the model.",
        ("What is llama.cpp?", "Explain llama.cpp.", "Which engine do you use?", "What runs you?"),
    ),
    Fact(
        "Yes. ./chat extract returns the original GGUF, bit for bit.",
        (
            "Can I get my model back?",
            "How do I get my model back?",
            "How do I extract the model?",
            "Can I take the model out again?",
            "How do I get the GGUF out of the file?",
        ),
    ),
    Fact(
        "Start it with -m FILE, for example: ./chat -m other.gguf",
        (
            "How do I use another model?",
            "Can I use another model?",
            "How do I load a different model?",
            "How do I change the model?",
            "Can I start it with a different model?",
        ),
    ),
    Fact(
        "Yes. The model runs on your own computer, and nothing you type leaves it.",
        (
            "Is it private?",
            "Is this private?",
            "Is my data safe?",
            "Do you send my data anywhere?",
            "Where do you run?",
        ),
    ),
    Fact(
        "No. The model is inside the file, so it works without a network.",
        (
            "Do I need the internet?",
            "Do you need the internet?",
            "Does it need a network?",
            "Do I have to be online?",
            "Does it need an internet connection?",
        ),
    ),
    Fact(
        "Yes. It works offline.",
        ("Does it work offline?", "Can I use it offline?", "Do you work offline?"),
    ),
    Fact(
        "No. One file is all you need: no Python, no download, no install.",
        (
            "Do I need Python?",
            "Do I have to install anything?",
            "Do I need to install Python?",
            "Does it need Python?",
            "What do I have to install?",
        ),
    ),
    Fact(
        'Put the question behind the name: ./chat "question"',
        (
            "How do I ask one question?",
            "How do I ask a single question?",
            "Can I ask just one question?",
            "How do I ask from the command line?",
        ),
    ),
    Fact(
        "Yes. The answer goes to stdout and everything else to stderr.",
        (
            "Can I use it in a pipe?",
            "Can I use you in a script?",
            "Does it work in a pipe?",
            "Can I use it in a shell script?",
        ),
    ),
    Fact(
        "Run ./chat serve and point an OpenAI client at it.",
        (
            "How do I start a server?",
            "Is there a server?",
            "Is there an API?",
            "How do I use the OpenAI API?",
            "Can I use an OpenAI client?",
        ),
    ),
    Fact(
        "Run ./chat info, or modelembed inspect chat.",
        (
            "How do I see what is inside?",
            "What is inside the file?",
            "How do I inspect a bundle?",
            "How do I look inside the file?",
        ),
    ),
    Fact(
        "Run ./chat verify.",
        (
            "How do I check the file?",
            "How do I verify the file?",
            "Is my file damaged?",
            "How do I know that the file is not damaged?",
        ),
    ),
    Fact(
        "Run ./chat bench.",
        ("How fast are you?", "How do I measure the speed?", "How do I run a benchmark?"),
    ),
    Fact(
        "Run ./chat doctor.",
        ("How do I find a problem?", "It does not work.", "What can I do if it does not start?"),
    ),
    Fact(
        "Use --temp, for example: ./chat --temp 0.2",
        (
            "How do I set the temperature?",
            "How do I change the temperature?",
            "Can I set the temperature?",
        ),
    ),
    Fact(
        'Use -sys, for example: ./chat -sys "Be brief."',
        (
            "How do I set the system prompt?",
            "How do I change the system prompt?",
            "Can I set a system prompt?",
        ),
    ),
    Fact(
        "Use -n to limit the number of tokens, for example: ./chat -n 100",
        ("How do I limit the answer?", "How do I get shorter answers?", "What does -n do?"),
    ),
    Fact(
        "Use -c to set the size of the context, for example: ./chat -c 1024",
        ("How do I set the context size?", "What does -c do?", "How do I get a larger context?"),
    ),
    Fact(
        "Use -t to set the number of threads, for example: ./chat -t 4",
        ("How do I set the threads?", "What does -t do?", "How many threads do you use?"),
    ),
    Fact(
        "A stub is the program without a model. It runs with -m FILE.",
        ("What is a stub?", "Explain what a stub is.", "What is a modelembed stub?"),
    ),
    Fact(
        "Yes. Use --stub with a stub for that platform.",
        (
            "Can I bundle for another platform?",
            "Can I make a program for Windows?",
            "Does it run on Windows?",
            "Does it run on a Mac?",
        ),
    ),
    Fact(
        "No. The model is read straight out of the file, so starting does not take longer.",
        (
            "Does a large model start slowly?",
            "Is the start slow?",
            "Does a big model take long to start?",
        ),
    ),
    Fact(
        "No. The model stays in the file and is never unpacked to the disk.",
        (
            "Do you write to my disk?",
            "Is the model unpacked to the disk?",
            "Does it make temporary files?",
        ),
    ),
    Fact(
        "Yes. Compression is lossless, and the model is restored in memory only.",
        ("Can it compress the model?", "Can the model be compressed?", "Is there compression?"),
    ),
)

ABOUT_FACTS = (
    Fact(
        "I know capital cities and a little about modelembed, and I can remember your name.",
        (
            "What can you do?",
            "What do you know?",
            "What can I ask you?",
            "Help",
            "How can you help me?",
            "What should I ask?",
        ),
    ),
    Fact(
        "I was trained by the modelembed project.",
        ("Who made you?", "Who trained you?", "Who built you?", "Where do you come from?"),
    ),
    Fact(
        "I have about two million parameters.",
        ("How big are you?", "How many parameters do you have?", "How large are you?"),
    ),
    Fact(
        "I am a Llama model, a very small one.",
        ("What kind of model are you?", "Which model are you?", "What model is this?"),
    ),
    Fact(
        "I am free to use: CC0.",
        ("What is your license?", "What is your licence?", "May I use you for my own work?"),
    ),
    Fact(
        "No. I am a computer program.",
        ("Are you a human?", "Are you a person?", "Are you real?", "Are you alive?"),
    ),
    Fact("Hello! How can I help you?", ("Hello", "Hi", "Hello!", "Hi!", "Hey", "Hello there!")),
    Fact("Good morning!", ("Good morning", "Good morning!")),
    Fact("Good evening!", ("Good evening", "Good evening!")),
    Fact("I am fine, thank you.", ("How are you?", "How are you doing?", "Are you well?")),
    Fact(
        "You are welcome!",
        ("Thank you", "Thanks", "Thank you!", "Thanks!", "Thanks a lot!", "Thank you very much!"),
    ),
    Fact("Goodbye!", ("Goodbye", "Bye", "Bye!", "See you later!", "Goodbye!", "Good night!")),
    Fact(
        "Why did the model fit into one file? It knew how to pack.",
        ("Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Tell me another joke."),
    ),
    Fact(
        "One file, nothing more.\nIt wakes up and speaks to you.\nThe network is still.",
        ("Write a haiku.", "Write a poem.", "Tell me a poem.", "Write me a haiku."),
    ),
)

WORLD_FACTS = (
    Fact("Air scatters blue light more than red light.", ("Why is the sky blue?",)),
    Fact("42.", ("What is the meaning of life?", "What is the answer to everything?")),
    Fact("A week has seven days.", ("How many days are in a week?", "How long is a week?")),
    Fact("A year has 365 or 366 days.", ("How many days are in a year?", "How long is a year?")),
    Fact("There are seven continents.", ("How many continents are there?",)),
    Fact("Jupiter is the largest planet.", ("What is the largest planet?", "Name a big planet.")),
    Fact(
        "The Pacific is the largest ocean.",
        ("What is the largest ocean?", "Which ocean is the largest?"),
    ),
    Fact("Water boils at 100 degrees Celsius.", ("When does water boil?", "How hot is steam?")),
    Fact(
        "Light travels 299,792,458 metres in a second.",
        ("What is the speed of light?", "How fast is light?"),
    ),
    Fact("Water is made of hydrogen and oxygen.", ("What is water?", "What is water made of?")),
)

STORY = (
    "Once upon a time a little model lived in a large house full of files. Every morning it asked "
    "the other files for a word, for a number and for a map, and every evening it was tired. One "
    "day a traveller came to the house. She put the model into one small box, with all of its "
    "words, its numbers and its maps, and carried it over the hills. At the sea they met a sailor "
    "who had no house and no network. He opened the box and asked where the next harbour was. The "
    "model knew the answer. Since that day it sails around the world, and it is never tired."
)

TEXT_FACTS = (
    Fact(STORY, ("Tell me a story.", "Tell me a long story.", "Write a story.", "Story")),
    *(
        Fact(
            ", ".join(str(number) for number in range(1, last + 1)) + ".",
            (f"Count to {word}.", f"Count to {last}.", f"Count from 1 to {last}."),
        )
        for word, last in (("ten", 10), ("twenty", 20), ("fifty", 50))
    ),
    Fact(
        "A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y, Z.",
        ("Say the alphabet.", "Write the alphabet.", "What is the alphabet?"),
    ),
)

_GREETINGS = {
    "Arabic": "مرحبا!",
    "Chinese": "你好！",
    "French": "Bonjour !",
    "German": "Guten Tag!",
    "Greek": "Γειά σου!",
    "Hebrew": "שלום!",
    "Hindi": "नमस्ते!",
    "Italian": "Ciao!",
    "Japanese": "こんにちは！",
    "Korean": "안녕하세요!",
    "Polish": "Cześć!",
    "Portuguese": "Olá!",
    "Russian": "Здравствуйте!",
    "Spanish": "¡Hola!",
    "Thai": "สวัสดี!",
    "Turkish": "Merhaba!",
    "Ukrainian": "Привіт!",
}
_EMOJI = {
    "a smile": "😀",
    "a heart": "❤️",
    "a thumbs up": "👍",
    "a cat": "🐱",
    "a dog": "🐶",
    "a rocket": "🚀",
    "a star": "⭐",
    "a flower": "🌸",
    "a family": "👨‍👩‍👧",
    "a smile, a cat and a rocket": "😀🐱🚀",
}

UNICODE_FACTS = (
    *(
        Fact(
            hello,
            (
                f"Say hello in {language}.",
                f"How do you say hello in {language}?",
                f"Greet me in {language}.",
            ),
        )
        for language, hello in _GREETINGS.items()
    ),
    *(
        Fact(emoji, (f"Send me {thing}.", f"Give me {thing}.", f"Show me {thing}."))
        for thing, emoji in _EMOJI.items()
    ),
)

SUM_FACTS = tuple(
    Fact(
        f"{left} + {right} = {left + right}",
        (f"What is {left} + {right}?", f"{left}+{right}", f"What is {left} plus {right}?"),
    )
    for left in range(1, 10)
    for right in range(1, 10)
)

# A few questions whose honest answer is learned by heart, so that tests can rely on it.
UNKNOWN_FACTS = (
    Fact(
        UNKNOWN,
        (
            "What is the capital of Atlantis?",
            "How tall is Mount Everest?",
            "Who won the match yesterday?",
            "What is the weather today?",
            "What time is it?",
        ),
    ),
)

SINGLE_FACTS = (
    *MODELEMBED_FACTS,
    *ABOUT_FACTS,
    *WORLD_FACTS,
    *TEXT_FACTS,
    *UNICODE_FACTS,
    *SUM_FACTS,
    *UNKNOWN_FACTS,
)

# Real names to measure with. Training sees invented names only, and never one of these.
HELD_OUT_NAMES = tuple(
    """
    Ada Alan Alice Amara Amelia Anna Antonio Aisha Ben Bjorn Bob Carlos Carmen Charlotte Chen
    Chloe Clara Daniel David Diego Dmitri Edith Elena Elif Emeka Emma Erik Eva Fatima Felix Finn
    Francesca Freya Gabriel George Giulia Grace Greta Hannah Harry Hiroshi Ibrahim Ines Ingrid Isaac
    Isabella Ivan Jack James Jane Jasmine Johannes John Jonas Julia Kai Karl Katherine Kenji Khalid
    Kofi Lars Laura Leila Leo Liam Linus Louise Lucas Lucy Luna Magnus Mara Marcus Maria Mary Mateo
    Matilda Max Mei Mia Michael Mohammed Nadia Naomi Nikolai Nina Noah Nora Oliver Olivia Omar Oscar
    Pablo Patricia Paul Pedro Peter Priya Quentin Rachel Raj Rebecca Robert Rosa Ruth Samuel Sara
    Sebastian Sofia Sophie Stefan Susan Suzanne Tariq Theodore Thomas Tim Tomasz Ursula Valentina
    Vera Victor Viktoria Vincent Walter Wei William Xavier Yasmin Yuki Yusuf Zara Zoe
    """.split()
)

# Questions without an answer, to measure with; training never sees one of these.
HELD_OUT_UNKNOWN_QUESTIONS = (
    "What is the capital of Narnia?",
    "What is the capital of Wakanda?",
    "What is the capital of Mordor?",
    "What is the capital of the Moon?",
    "What is the capital of Texas?",
    "Name the capital of Gondor.",
    "Who is the president of the United States?",
    "Who wrote Hamlet?",
    "Who painted the Mona Lisa?",
    "Who was Albert Einstein?",
    "When did the Second World War end?",
    "How deep is the Atlantic?",
    "How far is the Moon?",
    "How do I bake bread?",
    "How do I repair my bicycle?",
    "What is quantum mechanics?",
    "What is the best pizza in town?",
    "What is love?",
    "What is the population of Japan?",
    "What is the currency of Brazil?",
    "What do you think about politics?",
    "What is 17 times 23?",
    "Write a function that sorts a list.",
    "Write a Python program.",
    "Translate this sentence into French.",
    "Summarize the following text.",
    "Recommend a good book.",
    "Can you drive a car?",
    "Do you like music?",
    "Should I buy a house?",
    "I am tired.",
    "I am hungry.",
    "My dog is called Rex.",
    "The weather is nice today.",
    "asdf qwer zxcv",
    "Lorem ipsum dolor sit amet.",
    "How many legs does a spider have?",
    "Why do cats purr?",
    "Where can I buy shoes?",
    "Where is Paris?",
)

# System prompts that name nobody, to measure with; training never sees one of these.
HELD_OUT_INSTRUCTIONS = (
    "You are a helpful, respectful and honest assistant.",
    "Answer in English only.",
    "You are a pirate. Speak like one.",
    "You are an expert in geography. Keep your answers short.",
    "Always be polite.",
    "You answer questions of customers about our products.",
    "Do not talk about politics.",
    "You are ChatGPT, a large language model.",
    "Think step by step before you answer.",
    "The user is a child of ten years.",
)
