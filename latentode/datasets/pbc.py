"""Mayo Clinic's primary biliary cirrhosis patients and their visits."""

import pandas as pd

from latentode.datasets._files import read

_LABS = ["bili", "chol", "albumin", "alk_phos", "ast", "platelet", "protime"]
_SIGNS = ["ascites", "hepato", "spiders", "edema", "stage"]
_STATIC = ["age", "sex", "trt"]
_OUTCOME = ["futime", "status"]


def load_pbc(*, extras: bool = False, outcome: bool = False) -> pd.DataFrame:
    """Load the laboratory values of 312 patients with primary biliary cirrhosis, at 1,945 visits.

    The visits are irregular (half a year, a year, then yearly, and extra ones when a patient is worse), there
    are between 1 and 16 of them per patient, and many values were not measured: cholesterol at two visits in
    five. All laboratory values are positive and most are skewed to the right.

    Parameters
    ----------
    extras : bool, default=False
        Add the clinical signs of each visit (``ascites``, ``hepato``, ``spiders``, ``edema``, ``stage``) and
        what is constant per patient (``age``, ``sex``, ``trt``).
    outcome : bool, default=False
        Add ``futime`` (days to death, transplantation or July 1986) and ``status`` (0 censored,
        1 transplanted, 2 dead). They reveal the future: a forecaster that reads them leaks.

    Returns
    -------
    pandas.DataFrame
        A row per visit, sorted by ``id`` and ``time`` (days since the patient's first visit), with a column
        per channel: ``bili``, ``chol``, ``albumin``, ``alk_phos``, ``ast``, ``platelet``, ``protime``. NaN
        where a channel was not measured. Units are in ``datasets/pbc/README.md``.

    References
    ----------
    Fleming, T. R. and Harrington, D. P. (1991). Counting Processes and Survival Analysis. Wiley.

    Murtaugh, P. A. et al. (1994). Primary biliary cirrhosis: prediction of short-term survival based on
    repeated patient visits. Hepatology 20, 126-134.

    Examples
    --------
    >>> from latentode.datasets import load_pbc
    >>> visits = load_pbc()
    >>> visits.shape, visits["id"].nunique()
    ((1945, 9), 312)
    >>> visits.loc[:1, ["id", "time", "bili", "chol"]]
       id  time  bili   chol
    0   1     0  14.5  261.0
    1   1   192  21.3    NaN
    """
    columns = ["id", "time", *_LABS]
    if extras:
        columns += [*_SIGNS, *_STATIC]
    if outcome:
        columns += _OUTCOME
    frame = read("pbc", "pbc.csv.gz", columns)
    return frame.astype(dict.fromkeys(_LABS, "float64"))
