"""PyInstaller's hook: the bundled models and templates, and modules that are imported by their names."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("ert") + collect_data_files("skimage.data", includes=["*.xml"])
hiddenimports = collect_submodules("ert")
# The cache of compiled code needs the source files.
module_collection_mode = {"ert": "pyz+py"}
