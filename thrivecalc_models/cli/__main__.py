from thrivecalc_models.cli import main

main()
