"""What measures the house: how large it is, who uses whose private parts, how deep a call goes."""
