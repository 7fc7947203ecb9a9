"""Whether an artifact gives the checkpoint's answers. Run first, judge later.

The reference is the checkpoint in double precision. `formats.parity.compare` judges two sets of
logits and `decide` says what their difference does to the answers: both are pure. `verify` runs the
bundle's reference digits and the test set, `matrix` every way in which an artifact may be run, and
`verify_thoroughly` all of it.
"""
