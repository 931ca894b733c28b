def cases(add):
    pass
