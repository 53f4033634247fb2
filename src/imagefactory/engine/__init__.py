"""The build engine: tools in a sandbox, trees, disks, formats, boots."""
