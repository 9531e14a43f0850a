from latentode.data.errors import shown


def test_what_is_long_is_shown_in_part():
    assert shown("x" * 98) == repr("x" * 98)
    assert shown("x" * 99) == repr("x" * 99)[:97] + "..."
