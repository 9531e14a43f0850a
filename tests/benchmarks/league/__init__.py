"""The league: nearly sixty sets of many kinds, one protocol each, by which every default is chosen or deleted.

Run one label over the choosing half, or over the other::

    python -m tests.benchmarks.league run baselines          # once: gradient boosting and naive forecasts
    python -m tests.benchmarks.league run default            # quick: capped sets, one seed, the choosing half
    python -m tests.benchmarks.league run default --full     # whole sets, three seeds
    python -m tests.benchmarks.league run default --untouched
    python -m tests.benchmarks.league run drawn kl_weight=0.1
    python -m tests.benchmarks.league run no-logarithm config.log_beyond=0.0
    python -m tests.benchmarks.league compare default drawn
    python -m tests.benchmarks.league render                 # the page's tables

A row per set and seed is appended to ``results/LABEL.jsonl``; what stands there is not run again. Two processes of one
thread run at a time.
Extra ``bench`` for the sets of R packages; air quality and climate are skipped where they are absent.
"""
