"""Sources of questions by name. A file `<kind>_source.py` here is the kind `<kind>` of `questions=`.

It holds a function of that name: `kind(domain, split, **options) -> QuestionSet`. With a parameter
`exclude` it leaves those ids out itself. What stands behind a colon ("procedural:easy") is its first option.
"""
