"""Pure decisions and transformations: values in, values out; no disk, network, clock or dice."""
