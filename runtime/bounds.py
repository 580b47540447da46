"""Bounds: what a stranger's input may cost at most, each with its reason.

Requests, models, bundles, templates and schemas come from people whom the user does not know. Each
bound here is one that no honest input meets. docs/bounds.md says what happens beyond each, and
tests/e2e/test_bounds.py goes to each, and beyond. Sizes are in bytes and times in seconds unless a
name says otherwise; of texts, characters are counted.
"""

from __future__ import annotations

# Connections to a server

BODY = 8_000_000  # of a request; --max-body
SEND_SECONDS = 30.0  # for sending a request, and for taking what is sent; --timeout
CONNECTIONS = 1000  # open at once in one process; the system gives it 1024 files or more
BACKLOG = 512  # connections that the system keeps until they are accepted
QUEUE = 64  # requests that wait for others; --queue
API_PREFIX = 200  # characters of --api-prefix: a proxy's paths have a few words
HEADERS = 100  # of a request; browsers send twenty
HEADER_BYTES = 32 << 10  # request line and headers: cookies of other servers here come along

JSON_VALUES = 1_000_000  # as many tokens as the longest contexts have
JSON_PARTS = 100_000  # texts, lists and objects, each of which takes as long as many numbers

FORM_FIELDS = 100  # of a form: a transcription has a dozen

# Fields of a request

MESSAGES = 10_000  # of a conversation: a million tokens at a hundred each
PARTS = 1000  # of a message's content
CALLS = 512  # of tools in a message
TOOLS = 512  # each is compiled; models lose track of far fewer
TOOLS_SECONDS = 10.0  # of processor time for the parameters of all tools together
TOOL_NAME = 128  # characters, twice what OpenAI takes
NAME = 1000  # characters of other names and identities
PROMPTS = 2048  # in one request, as OpenAI's embeddings take
CHOICES = 128  # answers to a prompt: `n`
STOPS = 64  # stop strings: each is looked for after every token
STOP_LENGTH = 1000  # characters of a stop string
LOGPROBS = 20  # alternatives to a token, as OpenAI's
BIASES = 1 << 16  # tokens with a bias; some forbid whole alphabets
TOKEN_DIGITS = 10  # of a token's number: Python takes long ones apart slowly
STORED_RESPONSES = 256  # that a request may go on from: conversations go on from the latest
STORED_BYTES = 64_000_000  # of them together, each with all that was before: a long day's work
TOOL_MESSAGE = 8_000_000  # of an agent to `mcp`, in a line; as BODY
INTEGER = 2**31 - 1  # the engine's integers have 32 bits
JSON_DEPTH = 128  # levels of a schema, of a template's variables, of a call's arguments

# Grammars and schemas

GRAMMAR = 1 << 16  # characters of a grammar in a request
GRAMMAR_NESTING = 100  # parentheses: the engine's parser descends by recursion
SCHEMA = 1 << 20  # characters
SCHEMA_SECONDS = 5.0  # of processor time, for finding out whether it is a schema
SCHEMA_LEVELS = 64  # of schemas in schemas
SCHEMA_PARTS = 10_000  # once references are written out: they may double with each step
SCHEMA_GRAMMAR = 1 << 22  # characters of a schema's grammar
ALTERNATIVES = 200  # in a grammar, of one value
OPTIONAL_PROPERTIES = 200  # the converter's time grows with their third power
PROPERTY_NAME = 1000  # characters
REPETITIONS = 2000  # the most that the engine's grammars may ask for
TUPLE = 256  # items of an array that have a schema each
MULTIPLES = 500  # of a number, written as a list
PATTERN_NESTING = 50  # groups in a pattern: its parser descends by recursion

# The engine's chat library: what one call may use; runtime/model/cpp has the same numbers

TEMPLATE_SECONDS = 5.0  # of processor time; real templates and schemas take some milliseconds
ANALYSIS_SECONDS = 2.0  # for finding out how a template writes calls
COMPILE_SECONDS = 2.0  # of a grammar
STEP_SECONDS = 0.25  # of a grammar, for a token
ANSWER_SECONDS = 10.0  # of a grammar, for all tokens of an answer
LIBRARY_BYTES = 256 << 20  # held at a time
LIBRARY_STACK = 1 << 30  # of addresses: what LIBRARY_BYTES can nest is freed by recursion

# Texts and files of the user's

PIPED = 64_000_000  # characters into stdin: an endless pipe would fill the memory
TEXT_FILE = 64_000_000  # behind an @, a config file: /dev/zero never ends
REPORT = 1 << 20  # more than any report has: the file may be a model, given by mistake
SESSION_TEXT = 64 << 20  # of a saved conversation: its first line

# Documents to be searched

DOCUMENTS = 1_000_000  # files in a folder: another was named by mistake, such as /
DOCUMENT = 512 << 20  # of one file, which is read as a whole; scanned books have 300 MB
DOCUMENT_TEXT = 64_000_000  # characters of one: fourteen Bibles
DOCUMENT_BLOCKS = 2_000_000  # paragraphs and rows of one, each of which takes memory
DOCUMENT_SECONDS = 120.0  # of processor time for reading one
PDF_BYTES = 4 << 30  # of memory for the program that reads one
UNPACKED = 512 << 20  # of a .docx or .epub, the parts that are read: a bomb claims petabytes
ARCHIVE_FILES = 1 << 16  # in one: pictures, mostly
TABLE_NESTING = 16  # tables in tables, which old pages and mails are laid out by

# Pictures and sounds

PICTURE = 32 << 20  # of an encoded one: the largest photographs of telephones have 25 MB
PICTURE_SIDE = 1 << 15  # pixels: panoramas have 16,000
PICTURE_PIXELS = 1 << 26  # decoded they take 200 MB; telephones have up to 50 million
PICTURE_UNPACKED = (1 << 28) + (1 << 16)  # of a PNG: the decoder has it twice, as 16 bits or 8
PICTURE_PASSES = 1 << 30  # samples of all passes of a JPEG: usual ones have 8 to 14 for a pixel
PICTURE_PARTS = 1 << 18  # segments, chunks, blocks: twice what a GIF of PICTURE has
PICTURES_PIXELS = 1 << 28  # of a request's pictures together: decoded they take 800 MB
SOUND = 64 << 20  # of an encoded one: six minutes as a CD has them, an hour as MP3
SOUND_SECONDS = 1800.0  # of a request's sounds together; models hear half a minute to ten
SOUND_SAMPLES = 172_800_000  # of a FLAC, which packs silence without end: half an hour at 48 kHz
MEDIA_SECONDS = 20.0  # of processor time for looking through and decoding a request's pictures
FETCH_URL = 8000  # characters of a picture's address, as most servers take
FETCH_SECONDS = 10.0  # for fetching a picture from the web, with all redirections
FETCH_REDIRECTS = 3  # each is looked up and asked anew
MEDIA = 64  # pictures and sounds of a request: each is encoded, and takes its part of the context

# Answers of a fallback server

REMOTE_LINE = 16 << 20  # of a stream, or an error response: what others send has kilobytes

# Bundles

MANIFEST = 16 << 20  # damaged lengths must not make us allocate gigabytes
LAUNCHER = 64 << 20
ARCHIVE = 1 << 30
SECTIONS = 1000  # each may be an adapter, which is loaded
SECTION_TABLE = 64 << 10  # behind the footer: it takes a few KiB, `strip` may grow it
EMBEDDER_PREFIX = 4096  # characters, read again with every text: an instruction takes 100
STATE_HEAD = 16 << 20  # a million tokens take 8
CHUNK = 64 << 20  # bounds what one damaged entry can make us allocate
CHUNK_STREAMS = 16
CHUNKS = 1 << 20  # a terabyte in pieces of a megabyte; in memory a row is ten times as large
FRAMES = 1 << 18  # of an older bundle: a terabyte in frames of 4 MiB
FRAME = 64 << 20  # as CHUNK
DECODED = 1 << 30  # chunks that are decoded ahead of the engine, which reads them

# Indexes of documents

INDEX_HEAD = 1 << 20  # it takes 4 KiB, and what an embedding model is called
INDEX_LABEL = 1 << 16  # of a path, a title, a heading, a table's first lines
INDEX_TEXT = 1 << 28  # of a document: fifty books
VECTOR_DIMENSIONS = 16_384  # four times the largest models'
QUESTION = 20_000  # characters that are searched for: more is a book that was pasted
QUESTION_TERMS = 256  # of a question, the rarest ones: more is a page that was pasted
FOUND = 100  # passages that a search gives: more are a copy of the documents
DOCUMENT_PART = 100_000  # characters in one response: others are asked for as they are read
QUESTION_FILTERS = 16  # of a name; each is compared with all documents

# Signatures and keys

SIGNATURE = 16 << 10  # more than any key or signature: a file given by mistake may be a model
COMMENT = 8173  # of a signature: what fits into the line that minisign reads
KEY_OPERATIONS = 1 << 25  # what minisign takes: a stranger's key must not run for ever
KEY_MEMORY = 1 << 30

# Models

GGUF_HEADER = 128 << 20  # real ones take up to 20 MB; a compressed one can claim any size
GGUF_TEXT = 64 << 20  # the longest real ones are chat templates and precompiled charsets
GGUF_LIST = 1 << 22  # texts in a list: ten times the largest vocabularies
GGUF_KEYS = 1 << 16  # a thousand times what real ones have
GGUF_TENSORS = 1 << 20
GGUF_DIMENSIONS = 4
GGUF_ALIGNMENT = 1 << 20  # of tensors; real models have 32
PROJECTOR_PATCHES = 1 << 16  # of the largest picture: sixteen times what real projectors take
PROBE_SECONDS = 10  # of processor time, for a model's template while bundling
PROBE_BYTES = 4 << 30  # of memory, likewise
