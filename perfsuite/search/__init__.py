"""The search for a recipe that meets a target, in phases that are ordinary runs."""
