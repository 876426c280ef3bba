"""What `train.py` and `app.py` share: one file, one idea."""
