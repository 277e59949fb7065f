"""How it is asked: prompts, chat rendering in tokens, feedback, and the episode that grows turn by turn."""
