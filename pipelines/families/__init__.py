"""Families, found by name: pipelines/families/<name>/ with the same modules in each.

settings  the Data, Model and Fit pages, as types
embedded  data that are at hand everywhere, for tests and the demo
data      prepare(cfg, out) -> card
examples  load(folder, split) -> arrays
picture   how any picture becomes what the model takes
model     build(cfg): the architecture, nothing else
fit       fit(cfg, data, out, log): train, export, prove the export; share(cfg, data, under_way) where several processes can
predict   Predictor(folder).predict(batch): no training framework
score     outcomes, headline, metrics, tables, sheets
"""
