"""Asks TF Serving's REST interface what pictures show; needs nothing but Python.

python docs/serving/ask_rest.py http://localhost:8501/v1/models/digits five.png six.jpg
"""

import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request


def main() -> None:
    """Sends JPEG or PNG files and prints label and probability of each."""
    model, *paths = sys.argv[1:]
    encoded = [base64.b64encode(pathlib.Path(path).read_bytes()).decode() for path in paths]
    body = {"signature_name": "serve_bytes", "instances": [{"b64": text} for text in encoded]}
    request = urllib.request.Request(f"{model}:predict", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            predictions = json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        sys.exit(f"refused: {json.load(error)['error']}")
    for path, prediction in zip(paths, predictions, strict=True):
        label = prediction["label"]
        print(f"{path}: {label} ({100 * prediction['probabilities'][label]:.1f} %)")


if __name__ == "__main__":
    main()
