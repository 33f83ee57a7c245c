"""From a change in the archive to a stored segmentation."""
