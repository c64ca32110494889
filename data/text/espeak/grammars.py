"""The small grammars of English that texts are drawn from: patterns of parts, and their words."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Grammar:
    """Sentences: a pattern whose `{part}` is replaced by one of the part's choices.

    Attributes:
      patterns: equally likely.
      parts: the choices of each part, of one or several words, equally likely.
    """

    patterns: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]

    def draw(self, random: np.random.Generator) -> str:
        """A sentence."""
        pattern = str(random.choice(self.patterns))
        return re.sub(r"\{(\w+)\}", lambda part: str(random.choice(self.parts[part[1]])), pattern)


# 92 words: few enough that a recogniser which knows them mistakes few.
SENTENCES = Grammar(
    (
        "{determiner} {quality} {thing} {deed} {determiner} {thing}",
        "{determiner} {thing} {deed} {determiner} {quality} {thing} {time}",
        "{determiner} {thing} {place} {thing} {deed} {determiner} {thing}",
        "{time} {determiner} {quality} {thing} {deed} {determiner} {thing} "
        "{place} {quality} {thing}",
    ),
    {
        "determiner": ("the", "this", "that", "every", "another", "her", "his", "our"),
        "quality": (
            *("small", "yellow", "quiet", "broken", "heavy", "early", "gentle", "hollow"),
            *("smooth", "curious", "northern", "bright", "frozen", "polished", "careful", "weary"),
        ),
        "thing": (
            *("boat", "kitchen", "judge", "feather", "garden", "window", "engine", "village"),
            *("thought", "measure", "ocean", "letter", "church", "shadow", "mirror", "bridge"),
            *("youth", "voyage", "orchard", "whistle", "finger", "treasure", "cloth", "hammer"),
        ),
        "deed": (
            *("watched", "carried", "forgot", "joined", "followed", "measured", "pushed", "chose"),
            *("heard", "painted", "showed", "reached", "avoided", "taught", "brought", "enjoyed"),
        ),
        "place": (
            *("behind the", "under the", "near our", "beyond the", "without a", "across this"),
            *("before the", "around her", "above that", "beside the"),
        ),
        "time": (
            *("yesterday", "again", "all evening", "without a word", "in the morning", "at once"),
            *("for years", "very slowly", "just now", "with pleasure"),
        ),
    },
)

# Speech of every day: words enough that a model hears each phone beside most others.
EVERYDAY = Grammar(
    (
        "{who} {wish} {deed} {thing}",
        "{who} {adverb} {deed} {number} {things} {time}",
        "{fact} {that} {who} {deed} {thing} {place}",
        "{please} {deed} {thing} {place}",
        "{question} {who} {deed} {thing} {time}",
        "{whose} {person} {past} {thing} and {past} {thing}",
        "{thing} {is} {adverb} {quality}",
        "{thing} of {whose} {person} {is} {quality} but {who} can't {state} it",
        "{number} {things} were {quality} {time}",
        "{time} {who} {past} {thing} {place}",
        "{if} {thing} {is} {quality} {will} {deed} it {place}",
        "{person} says {that} {thing} isn't {quality}",
        "it was {number} o'clock and {thing} was {quality}",
        "{greeting} {person} {who} {wish} {deed} {things}",
        "there are {number} {quality} {things} {place}",
        "{who} {past} {whose} {person} at {number} in the {part}",
        "{weather} {day} and {weather} {day}",
        "{measure} times {measure} {is} {number}",
    ),
    {
        "who": ("I", "you", "we", "they"),
        "will": ("I'll", "you'll", "we'll", "they'll", "he'll", "she'll"),
        "whose": ("my", "your", "our", "their", "his", "her", "the", "a"),
        "wish": (
            *("want to", "would like to", "have to", "ought to", "don't", "should", "can", "could"),
            *("may", "might", "will never", "used to", "are going to", "hope to", "must", "won't"),
        ),
        "adverb": (
            *("always", "never", "often", "usually", "really", "hardly", "only", "nearly", "too"),
            *("quite", "rather", "also", "probably"),
            *("certainly", "traditionally", "terribly", "so"),
        ),
        "deed": (
            *("see", "buy", "choose", "read", "write", "hear", "sing", "open", "close", "find"),
            *("wash", "change", "join", "visit", "cook", "eat", "drink", "push", "pull", "throw"),
            *("catch", "borrow", "lend", "forget", "remember", "measure", "use", "enjoy", "fix"),
            *("watch", "move", "draw", "bring", "take", "give", "leave", "follow", "answer"),
            *("explain", "imagine", "recognize", "photograph", "examine", "describe", "destroy"),
        ),
        "past": (
            *("saw", "bought", "chose", "wrote", "heard", "sang", "opened", "closed", "found"),
            *("washed", "changed", "joined", "visited", "cooked"),
            *("ate", "drank", "pushed", "threw"),
            *("caught", "borrowed", "forgot", "remembered", "used", "enjoyed", "wanted", "asked"),
            *("watched", "moved", "drew", "brought", "took"),
            *("gave", "left", "laughed at", "needed"),
            *("thought about", "looked for", "spoke to", "worked with", "listened to", "showed"),
        ),
        "state": ("be", "have", "help", "know", "like", "make", "say", "tell", "think", "trust"),
        "is": ("is", "was", "seems", "will be", "has been", "isn't", "wasn't", "looks", "became"),
        "quality": (
            *("good", "bad", "new", "old", "young", "warm", "cold", "large", "little", "cheap"),
            *("short", "tall", "clean", "dirty", "early"),
            *("late", "hungry", "angry", "happy", "sad"),
            *("strange", "usual", "serious", "dangerous", "beautiful", "comfortable", "different"),
            *("easy", "difficult", "true", "false", "pure", "poor", "rare", "fair", "foolish"),
            *("smooth", "rough", "square", "round", "thin", "thick", "bright", "red", "blue"),
            *("green", "white", "purple", "orange", "empty", "full", "loud", "quiet", "ready"),
            *("electric", "southern", "northern", "public", "private", "Asian", "European"),
        ),
        "thing": (
            *("the house", "a chair", "the question", "an apple", "the bread", "some water"),
            *("some tea", "the fire", "an hour", "the flower", "the tower", "a tour", "the future"),
            *("the picture", "a vision", "the television", "a decision", "the garage", "a shirt"),
            *("the church", "a journey", "the joy", "the noise", "some oil", "the choice", "a toy"),
            *("the wood", "a book", "the butcher", "a bush", "the cushion", "some sugar", "a cure"),
            *("the mouth", "the south", "a path", "the truth", "a month", "the health", "a bath"),
            *("the weather", "a feather", "the other", "my brother", "your mother", "some leather"),
            *("the world", "a word", "the bird", "some work", "the nurse", "a girl", "the earth"),
            *("the morning", "a song", "the kitchen", "a king", "the thing", "an ink bottle"),
            *("the yard", "a year", "some yellow paint", "the onion", "a million", "the view"),
            *("the music", "a cube", "a few", "the beauty", "a human voice", "the use of it"),
            *("the table", "a bottle", "the apple", "a middle", "the button", "a garden", "cotton"),
            *("the letter", "a better one", "the water", "a city", "the bottom", "a ladder"),
            *("the quick fox", "a square", "the language", "a squirrel", "some equipment"),
            *("the strength", "the sixth street", "a texture"),
            *("the script", "a spring", "a splash"),
            *("the twelfth night", "a dwarf", "the whisper", "a wheel", "the why and how"),
            *("the ear", "a beer", "the air", "a bear", "the car", "a star", "the door", "a floor"),
            *("the idea", "an area", "a museum", "a loch", "a lawyer", "the player", "a diary"),
        ),
        "things": (
            *("houses", "watches", "boxes", "buses", "dishes", "bridges", "judges", "roses"),
            *("books", "cats", "cups", "months", "cliffs", "dogs", "eggs", "clothes", "gloves"),
            *("trees", "boys", "cows", "days", "ideas", "teachers", "children", "women", "people"),
            *("pounds", "dollars", "minutes", "hours", "years", "miles", "pieces", "languages"),
        ),
        "person": (
            *("father", "mother", "daughter", "uncle", "aunt", "teacher", "doctor", "neighbour"),
            *("George", "Joyce", "Zoe", "Thomas", "Ruth", "Hugh", "Ursula", "Yvonne", "Vivian"),
            *("Catherine", "Shirley", "Owen", "Audrey", "Michelle", "cousin", "sister", "friend"),
        ),
        "fact": (
            *("I think", "we know", "they say", "you believe", "he told us", "she's sure"),
            *("it's possible", "it's a pity", "I'm afraid", "nobody knew", "everybody thought"),
        ),
        "that": ("that", "how", "why", "where", "when"),
        "please": (
            *("please", "don't", "let's", "just", "now"),
            *("go and", "try to", "always", "never"),
        ),
        "question": (
            *("when do", "where do", "why do", "how do", "what if", "why should", "how could"),
            *("do", "would", "shall", "when did", "which way do", "how often do", "since when do"),
        ),
        "if": ("if", "when", "because", "although", "unless", "while", "as long as", "until"),
        "place": (
            *("in the street", "at home", "at the office", "by the river", "on the roof", "there"),
            *("behind the curtain", "under the bridge", "between the trees", "near the station"),
            *("through the window", "over the mountain", "into the ocean", "from the island"),
            *("up the hill", "along the beach", "outside", "in front of the museum", "anywhere"),
            *("within the church", "across the square", "at the theatre"),
            *("in February", "in Europe"),
            *("in Russia", "in Asia", "at the theatre", "with us"),
            *("without him", "for them", "against its will"),
        ),
        "time": (
            *("today", "tomorrow", "yesterday", "on Tuesday", "on Thursday", "on Saturday"),
            *("every evening", "at a time", "at once", "at last", "in a moment", "all day long"),
            *("two hours ago", "next year", "last month", "after lunch", "before the exam", "then"),
            *("in nineteen eighty six", "for the first time", "once upon a time", "in autumn"),
            *("until Friday", "since Wednesday", "at the weekend", "as usual", "over and over"),
        ),
        "part": ("morning", "evening", "afternoon"),
        "weather": (
            *("a cloudy", "a rainy", "a sunny", "a windy"),
            *("a foggy", "an icy", "a stormy", "a dry"),
        ),
        "day": ("day", "night", "Monday", "Sunday", "week", "autumn", "summer", "winter", "spring"),
        "greeting": (
            *("hello", "good morning", "thank you", "goodbye", "excuse me", "oh yes", "well"),
            *("no", "yes", "I'm sorry", "how are you", "of course", "congratulations", "ah"),
        ),
        "measure": ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
        "number": (
            *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
            *("eleven", "twelve", "thirteen", "fifteen", "eighteen", "twenty", "thirty one"),
            *("forty four", "fifty five", "sixty six", "seventy seven", "eighty eight"),
            *("ninety nine", "a hundred", "a thousand", "a million", "half of the", "zero"),
        ),
    },
)
