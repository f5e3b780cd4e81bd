"""What the registry keeps of pipelines: versions, runs, steps, leases, cached results, schedules, deliveries.

Private to this layer. Every function is one transaction through the registry's own engine.
"""
