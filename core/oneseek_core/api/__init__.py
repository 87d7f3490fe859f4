"""The custom resources as types, and the way from types to CustomResourceDefinitions."""
