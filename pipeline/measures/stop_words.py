"""Lists words that begin English sentences and are not names, and words that tell German."""

from collections.abc import Iterable

from pipeline.measures.tokens import normal_form

FUNCTION_WORD_LIST = """
    a about above across after again against all along although among an and another any are around as at be because been before behind
    being below beneath beside between beyond both but by can cannot could despite did do does doing don't down due during each either
    every few for from had has have having he her here hers herself him himself his how i if in inside instead into is it its itself
    just least less like many may me might mine more most much must my myself near neither next no none nor not of off on once one only
    onto or other our ours out outside over own per please rather same she should since so some still such than that the their them then
    there therefore these they this those though through throughout thus till to too toward under unlike until up upon us very via was
    we were what whatever when where whether which while who whoever whom whose why will with within without would yes yet you your
    yours mr mrs ms miss dr
"""
"""Never part of a name."""

SENTENCE_START_LIST = """
    able according actually additionally adult adults ago ah aha almost alone already also always anybody anyone anything anyway
    anywhere apart apparently approximately aside available away back bad based basically begin below best better big brief briefly
    bring buy call called can't center centre certain certainly chapter check child children choose city clearly close come comment
    common company compare consider consumer content context correct could couldn't country course currently customer customers data
    date day dear dialogue didn't different discover doesn't don't earlier early easy eight else email end english enjoy enough
    especially evening eventually ever everybody everyone everything exactly example excellent exercise expect explain explanation
    fact false families family far fast feel figure final finally find first firstly five following food found four free friend fun
    furthermore game general generally get getting give given go good got great group guest ha hadn't half happy hasn't haven't
    hello hence hey hi high highly hint hmm home hope hour house however hundred i'd i'll i'm i've important include including
    indeed individual information input instruction interestingly isn't issue it'd it'll it's item join keep key kid kids kind know
    lack large last lastly late later learn left let let's likewise limit line link list little live local located long look lot
    love low make man maybe mean meanwhile meet member message method minute moderate month moreover morning mostly name named need
    never nevertheless new news nice night nine nobody nonetheless note nothing notice now number offer offering often oh ok okay
    old open opinion option order otherwise output overall page paragraph part party passage past people perfect perhaps person
    place plain play player player's point poor popular possible post pretty previously price problem product prompt provide
    provided pub quality question quick quite range rate rated rating read reader really reason recently recommend record reference
    related release remember report representation research response rest restaurant result review right role rule sadly same sample
    say scientist score second secondly section see seem seen sentence serve service set seven several shop short show similar
    similarly simple simply situated six slot small somebody someone something sometimes somewhere soon sorry source speaking
    special specifically start state statement step still story subject suggest summary sure system table tag take talk target task
    team tell ten test text thank thanks that's there's thing think third thirdly thousand three time tip title today together
    tomorrow tonight top topic translation true try turn two type ultimately um unavailable unfortunately unless unlike update use
    user usual usually value version view visit wait want warning wasn't way weather week welcome well weren't what's whenever
    wherever whose wide woman won't wonder word work world worth wouldn't wow write wrong yeah year yesterday you'd you'll you're
    you've young
"""

ABBREVIATIONS = frozenset("mr mrs ms dr prof st jr sr vs no inc ltd co corp gen sen rep gov lt col sgt capt mt ft rev hon dept est".split())
"""The dot after these does not end a sentence."""


FUNCTION_WORDS = frozenset(map(normal_form, FUNCTION_WORD_LIST.split()))
COMMON_WORDS = FUNCTION_WORDS | frozenset(map(normal_form, SENTENCE_START_LIST.split()))

GERMAN_WORDS = frozenset(
    "der das dem und ist sind war wurde wird nicht ein eine einen einem einer mit von auf für sich dass bei zum zur auch oder aber nach "
    "vom im am ich wir sie noch über durch".split()
)
"""Frequent words of German, in which every noun has a capital; most of them occur in no other language."""
GERMAN_SHARE = 0.08
"""Share of such words from which a text counts as German."""


def is_german(texts: Iterable[str]) -> bool:
    """Whether texts, taken together, are German."""
    words = [word.strip(".,;:!?\"'()[]") for text in texts for word in text.split()]
    return sum(word in GERMAN_WORDS for word in words) >= GERMAN_SHARE * len(words) > 0
