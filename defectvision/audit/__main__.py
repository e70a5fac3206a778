"""`python -m defectvision.audit`: see measuring.py."""

from defectvision.audit.measuring import main

if __name__ == "__main__":
    main()
