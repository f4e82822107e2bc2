"""⑤ Notifiers: one file for each platform. A notification becomes requests, and the response an outcome."""
