#![doc="x"]
