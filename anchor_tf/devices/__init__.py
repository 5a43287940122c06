"""Where a run computes: one device or many, one machine or several, in 16 bits or 32."""
