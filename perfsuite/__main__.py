"""`python -m perfsuite` is the command line."""

from perfsuite.cli import main

if __name__ == "__main__":
    main()
