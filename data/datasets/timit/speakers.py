"""Which speakers of TIMIT test and validate.

Both sets are of the corpus's test part; neither shares sentences with its training part.
"""

# Two men and one woman of each dialect region: the core test set of the corpus's readme.doc.
_CORE_TEST = """
    mdab0 mwbt0 felc0
    mtas1 mwew0 fpas0
    mjmp0 mlnt0 fpkt0
    mlll0 mtls0 fjlm0
    mbpm0 mklt0 fnlp0
    mcmj0 mjdh0 fmgd0
    mgrt0 mnjm0 fdhc0
    mjln0 mpam0 fmld0
"""

# The development set of most published work, as Kaldi's recipe for TIMIT lists it.
_DEVELOPMENT = """
    fadg0 faks0 fcal1 fcmh0 fdac1 fdms0 fdrw0 fedw0 fgjd0 fjem0
    fjmg0 fjsj0 fkms0 fmah0 fmml0 fnmr0 frew0 fsem0 majc0 mbdg0
    mbns0 mbwm0 mcsh0 mdlf0 mdls0 mdvc0 mers0 mgjf0 mglb0 mgwt0
    mjar0 mjfc0 mjsw0 mmdb1 mmdm2 mmjr0 mmwh0 mpdf0 mrcs0 mreb0
    mrjm4 mrjr0 mroa0 mrtk0 mrws1 mtaa0 mtdt0 mteb0 mthc0 mwjg0
"""

CORE_TEST, DEVELOPMENT = frozenset(_CORE_TEST.split()), frozenset(_DEVELOPMENT.split())

# By the part of the corpus. All speakers of NLTK's sample are in the training part.
HELD_OUT: dict[str, dict[str, frozenset[str]]] = {
    "train": {},
    "test": {"test": CORE_TEST, "validation": DEVELOPMENT},
}
HELD_OUT_OF_SAMPLE = {
    "validation": frozenset({"fapb0", "mbma1"}),
    "test": frozenset({"fblv0", "madd0"}),
}
