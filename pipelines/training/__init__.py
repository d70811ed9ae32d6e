"""Training: sessions with their checkpoints, records, pretrained weights and calibration."""
