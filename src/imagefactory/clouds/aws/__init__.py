"""Amazon's cloud and those who speak like it: AMIs for EC2, objects for any S3 server."""
