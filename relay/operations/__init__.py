"""Operations that the API and the console share: preview a message, send a test, explain routing."""
