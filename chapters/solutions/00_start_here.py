"""Solutions to the exercises of chapter 00."""


def output_size(n, k, s, p):
    """Count the places of a window.

    With its zeros the row is n + 2p long, so the window, k wide, can start anywhere from 0 to
    n + 2p - k. In steps of s that is one place for each whole step, and the one it starts from.
    """
    return (n + 2 * p - k) // s + 1
