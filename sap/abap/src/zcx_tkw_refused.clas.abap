"! A person must act: wrong set-up, a refused secret, a copied system.
CLASS zcx_tkw_refused DEFINITION PUBLIC INHERITING FROM zcx_tkw FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    METHODS kind REDEFINITION.

  PROTECTED SECTION.
  PRIVATE SECTION.
ENDCLASS.


CLASS zcx_tkw_refused IMPLEMENTATION.

  METHOD kind.
    kind = c_refused.
  ENDMETHOD.

ENDCLASS.
