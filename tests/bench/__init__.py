"""How fast is the relay, as ratios to what the same machine does bare in the same run?"""
