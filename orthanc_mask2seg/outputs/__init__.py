"""What follows from a verified segmentation and its source: measurements, reports, contours, volumes, pictures."""
