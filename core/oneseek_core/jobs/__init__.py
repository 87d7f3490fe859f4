"""What the operator and its Jobs tell each other: a module a Job, named as the folder of the runtime that does the work.

What the operator tells a Job is a request, what the Job tells in return a report; `messages` carries both.
"""
