"""`python -m defectbench` is the command line."""

from defectbench.cli import main

if __name__ == "__main__":
    main()
