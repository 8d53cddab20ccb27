"""Downstream tasks: does synthetic data help an inspector?"""
